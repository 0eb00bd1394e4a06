// Which failed dials are worth a retry, decided by the errors that libp2p really throws.
import { generateKeyPair } from '@libp2p/crypto/keys';
import { afterEach, expect, test } from 'vitest';
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
