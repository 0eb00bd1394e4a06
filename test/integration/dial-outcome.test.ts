// Which failed dials are worth a retry, decided by the errors that libp2p really throws.
import { generateKeyPair } from '@libp2p/crypto/keys';
import { afterEach, expect, test } from 'vitest';
import { PSK } from '../support/network.ts';
import { addressOf, Nodes } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const nodes = new Nodes();

afterEach(() => nodes.stop());

async function outcomeOf(address: string): Promise<string> {
  const { log } = await nodes.start({ staticPeers: [address] });
  const failed = await waitFor(() => log.lines.find(({ event }) => event === 'failed to dial peer'), {
    timeoutMs: 15_000,
    what: 'a failed dial',
  });
  return `${failed.fields.outcome}`;
}

test('a dial over a transport that we lack, and one to our own address, are hopeless', async () => {
  const other = (await generateKeyPair('Ed25519')).publicKey.toString();
  expect(await outcomeOf(`/ip4/127.0.0.1/udp/4001/quic-v1/p2p/${other}`)).toBe('hopeless');
  const privateKey = await generateKeyPair('Ed25519');
  const { log } = await nodes.start({ privateKey, staticPeers: [`/ip4/127.0.0.1/tcp/1/p2p/${privateKey.publicKey}`] });
  const failed = await waitFor(() => log.lines.find(({ event }) => event === 'failed to dial peer'), {
    what: 'a failed dial',
  });
  expect(failed.fields).toMatchObject({ outcome: 'hopeless', reason: 'own address' });
});

test('a dial to nobody, and one to another peer, are worth a retry', async () => {
  const { node } = await nodes.start();
  const other = (await generateKeyPair('Ed25519')).publicKey.toString();
  expect(await outcomeOf(`/ip4/127.0.0.1/tcp/1/p2p/${other}`)).toBe('failed');
  expect(await outcomeOf(addressOf(node).replace(/p2p\/.*/, `p2p/${other}`))).toBe('failed');
});

test('a static peer is connected when it starts late, and again after it disconnected', async () => {
  const { node: first } = await nodes.start();
  const address = addressOf(first);
  const { node } = await nodes.start({ staticPeers: [address] });
  await waitFor(() => node.currentlyConnectedPeers().length === 1, { what: 'the connection' });
  await waitFor(() => first.currentlyConnectedPeers().length === 1, { what: 'the other side of it' });
  let again = 0;
  node.setPeerConnectedCallback(() => {
    again += 1;
  });
  await first.disconnectPeer(node.hostId());
  await waitFor(() => again === 1, { what: 'the connection anew' });
  expect(node.currentlyConnectedPeers()).toHaveLength(1);
});

test.each([
  ['another shared key', PSK, 'ab'.repeat(32), 'the shared key of the peer probably differs from p2p_shared_key'],
  ['a shared key, where this node has none', undefined, PSK, 'the peer probably uses a shared key'],
] as const)(
  'a peer with %s: one warning names the shared key, and so does a refused dial',
  async (_, own, key, says) => {
    const { node: other } = await nodes.start({ presharedKey: key });
    const address = addressOf(other);
    const { node, log } = await nodes.start({ presharedKey: own, staticPeers: [address] });
    const lines = () => log.lines.filter(({ event }) => event === 'failed to dial peer');
    const warnings = () => lines().filter(({ level }) => level === 'warn');
    // Now and then both sides wait until the dial times out, because noise can look like the length of a long message.
    const patient = { timeoutMs: 60_000, what: 'two dials, one with a warning' };
    await waitFor(() => lines().length >= 2 && warnings().length > 0, patient);
    expect(warnings().map(({ fields }) => fields)).toEqual([
      expect.objectContaining({ address, likelyCause: expect.stringContaining(says) }),
    ]);
    const why = () => node.connectPeer(address).then(String, (error: Error) => error.message);
    // Two at once: the second joins the dial of the first.
    const bothSay = async () => (await Promise.all([why(), why()])).every((answer) => answer.includes(says));
    await waitFor(bothSay, { ...patient, what: 'answers that name it' });
  },
);

test('a dial that fails for another reason does not blame the shared key', async () => {
  const { node: other } = await nodes.start();
  const { node: keyless } = await nodes.start({ presharedKey: undefined });
  const { node, log } = await nodes.start({ staticPeers: ['/ip4/127.0.0.1/tcp/1'] });
  const stranger = addressOf(other).replace(/p2p\/.*/, `p2p/${(await generateKeyPair('Ed25519')).publicKey}`);
  const why = (address: string) => node.connectPeer(address).then(String, (error: Error) => error.message);
  const whyKeyless = why(addressOf(keyless));
  expect(await why(stranger)).toMatch(/: another peer ID answers there$/);
  expect(await why('/ip4/127.0.0.1/tcp/1')).toMatch(/: connection refused$/);
  expect(await why(addressOf(node))).toMatch(/: it is this node itself$/);
  await waitFor(() => log.lines.some(({ event }) => event === 'failed to dial peer'), { what: 'a failed dial' });
  expect(await whyKeyless).toContain('or uses no shared key (p2p_shared_key)');
  expect(log.lines.filter(({ level }) => level === 'warn')).toEqual([]);
});
