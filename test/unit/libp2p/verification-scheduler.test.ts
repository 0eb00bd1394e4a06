// Peers take turns at the verification of their messages; what waits is bounded, and so is the time for keys other than
// Ed25519.
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { expect, test } from 'vitest';
import type { ReceivedMessage, ValidationResult } from '../../../src/adapters/libp2p/gossipsub/parts.ts';
import { VerificationScheduler } from '../../../src/adapters/libp2p/gossipsub/verification-scheduler.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';
import { waitFor } from '../../support/wait.ts';

const ED25519 = (await generateKeyPair('Ed25519')).publicKey.toMultihash().bytes;
const SECP256K1 = (await generateKeyPair('secp256k1')).publicKey.toMultihash().bytes;
const RSA = (await generateKeyPair('RSA', 2048)).publicKey.toMultihash().bytes;

interface NamedMessage extends Partial<ReceivedMessage> {
  readonly name?: string;
}

const VALID = { code: 'valid' } as ValidationResult;

class FakeStream {
  readStatus = 'readable';

  pause(): void {
    this.readStatus = 'paused';
  }

  resume(): void {
    this.readStatus = 'readable';
  }
}

/** A verification takes `costMs`, on a clock of its own, and `kibMs` per KiB. Peers are named by a letter or a digit. */
function setUp(costMs: number, seen: readonly string[] = [], maxBesideLoop = 0, kibMs = 0) {
  const metrics = new RecordedMetrics();
  let nowMs = 0;
  const verified: string[] = [];
  const streams = new Map<string, FakeStream>();
  const batches: string[][] = [];
  const dropped: string[] = [];
  const ends: (() => void)[] = [];
  const scheduler = new VerificationScheduler({
    metrics,
    nowMs: () => nowMs,
    streamOf: (id) => streams.get(id),
    isSeen: ({ name = '' }: NamedMessage) => seen.includes(name),
    verification: () => ({
      validate: (batch) => {
        for (const { message } of batch) nowMs += costMs + (kibMs * (message.data?.length ?? 0)) / 1024;
        batches.push(batch.map(({ id }) => id));
        return maxBesideLoop === 0 ? undefined : new Promise<void>((resolve) => ends.push(resolve));
      },
      drop: ({ id }, reason) => void dropped.push(`${id} ${reason}`),
    }),
    maxBesideLoop,
  });
  const names = new Map<string, string>();
  const validate = scheduler.validateReceivedMessage(async (receivedFrom, { name = '' }: NamedMessage) => {
    nowMs += costMs;
    verified.push(`${names.get(receivedFrom.toString())}${name}`);
    return VALID;
  });
  const send = (from: string, message: NamedMessage) => {
    names.set(idOf(from), from);
    return validate(peerIdFromString(idOf(from)), { topic: 'a topic', ...message });
  };
  const pass = (ms: number) => {
    nowMs += ms;
  };
  const sources = new Map<string, PeerId>();
  const enqueue = (from: string, id: string, data?: Uint8Array) => {
    const message = { topic: 'a topic', from: ED25519, ...(data && { data }) };
    const receivedFrom = sources.get(from) ?? peerIdFromString(idOf(from));
    sources.set(from, receivedFrom);
    scheduler.enqueue({ receivedFrom, message, id: `${from}${id}` });
  };
  return { metrics, verified, streams, send, pass, enqueue, batches, dropped, ends };
}

function idOf(name: string): string {
  return peer(1 + name.charCodeAt(0));
}

test('a peer with much to verify lets others pass, and its own messages come in order', async () => {
  const { verified, send } = setUp(2);
  const many = Array.from({ length: 9 }, (_each, i) => send('a', { from: ED25519, name: String(i) }));
  const one = send('b', { from: ED25519, name: '0' });
  expect(verified).toEqual(['a0', 'a1', 'a2', 'b0']);
  expect(await one).toEqual({ code: 'valid' });
  await Promise.all(many);
  expect(verified).toEqual(['a0', 'a1', 'a2', 'b0', 'a3', 'a4', 'a5', 'a6', 'a7', 'a8']);
});

test('a message seen before does not wait', async () => {
  const { verified, send } = setUp(10, ['seen']);
  const late = [send('a', { from: ED25519, name: '0' }), send('a', { from: ED25519, name: '1' })];
  void send('a', { from: ED25519, name: 'seen' });
  expect(verified).toEqual(['a0', 'aseen']);
  await Promise.all(late);
});

test.each([
  ['secp256k1', SECP256K1],
  ['RSA', RSA],
])('messages of %s authors get some time per second and no more', async (_name, from) => {
  const { metrics, send, pass } = setUp(10);
  const codes = async (peerName: string, count: number) =>
    Promise.all(Array.from({ length: count }, () => send(peerName, { from }))) as Promise<{ code: string }[]>;
  const valid = (all: { code: string }[]) => all.filter(({ code }) => code === 'valid').length;
  const first = await codes('a', 20);
  expect(valid(first)).toBeGreaterThan(0);
  expect(valid(first)).toBeLessThan(10);
  expect(metrics.count('teranode_p2p_gossip_unverified_total', { reason: 'costly_key' })).toBe(20 - valid(first));
  expect(valid(await codes('b', 1))).toBe(1);
  expect(await send('a', { from: ED25519 })).toEqual({ code: 'valid' });
  pass(1000);
  expect(valid(await codes('a', 1))).toBe(1);
});

test('what waits is bounded per peer, and for all peers', async () => {
  const { metrics, send } = setUp(10);
  const data = new Uint8Array(1024 * 1024);
  const all = Array.from({ length: 6 }, (_each, i) =>
    Array.from({ length: 20 }, () => send(String(i), { from: ED25519, data })),
  ).flat();
  const bound = metrics.gaugeValue('teranode_p2p_gossip_waiting_bytes_bound');
  expect(metrics.gaugeValue('teranode_p2p_gossip_waiting_bytes')).toBeGreaterThan(bound - 2 * data.length);
  expect(metrics.gaugeValue('teranode_p2p_gossip_waiting_bytes')).toBeLessThanOrEqual(bound);
  const results = (await Promise.all(all)) as { code: string }[];
  const dropped = results.filter(({ code }) => code === 'invalid').length;
  expect(dropped).toBeGreaterThan(0);
  expect(metrics.count('teranode_p2p_gossip_unverified_total', { reason: 'queue_full' })).toBe(dropped);
  await waitFor(() => metrics.gaugeValue('teranode_p2p_gossip_waiting_bytes') === 0, { what: 'nothing waiting' });
});

test('a peer with much waiting is not read, another is', async () => {
  const { streams, send } = setUp(10);
  for (const from of ['a', 'b']) streams.set(idOf(from), new FakeStream());
  const status = (from: string) => streams.get(idOf(from))?.readStatus;
  const data = new Uint8Array(100_000);
  const all = Array.from({ length: 12 }, () => send('a', { from: ED25519, data }));
  all.push(send('b', { from: ED25519, data }));
  expect([status('a'), status('b')]).toEqual(['paused', 'readable']);
  await Promise.all(all);
  await waitFor(() => status('a') === 'readable', { what: 'the peer to be read again' });
});

test('a stream that replaced a paused one is paused too; one that ended is left alone', async () => {
  const { streams, send } = setUp(10);
  const [first, second] = [new FakeStream(), new FakeStream()];
  streams.set(idOf('a'), first);
  const data = new Uint8Array(100_000);
  const all = Array.from({ length: 12 }, () => send('a', { from: ED25519, data }));
  first.readStatus = 'closed';
  streams.set(idOf('a'), second);
  all.push(send('a', { from: ED25519, data }));
  expect([first.readStatus, second.readStatus]).toEqual(['closed', 'paused']);
  await Promise.all(all);
  await waitFor(() => second.readStatus === 'readable', { what: 'the stream to be read again' });
  expect(first.readStatus).toBe('closed');
});

const numbers = (count: number) => Array.from({ length: count }, (_each, i) => String(i));

test('what waits is verified together, the same number of each peer, in the order of its peer', async () => {
  const { enqueue, batches } = setUp(0.01);
  for (const i of numbers(100)) enqueue('a', i);
  for (const i of numbers(3)) enqueue('b', i);
  expect(batches).toEqual([]);
  await waitFor(() => batches.flat().length === 103, { what: 'all messages' });
  expect(batches[0]).toEqual([...numbers(32).map((i) => `a${i}`), 'b0', 'b1', 'b2']);
  expect(batches.flat().filter((id) => id.startsWith('a'))).toEqual(numbers(100).map((i) => `a${i}`));
});

test('a batch is bounded in number and bytes', async () => {
  const { enqueue, batches } = setUp(0);
  for (const i of numbers(200)) enqueue('a', i);
  await waitFor(() => batches.flat().length === 200, { what: 'all messages' });
  expect(batches.map(({ length }) => length)).toEqual([64, 64, 64, 8]);
  for (const i of numbers(5)) enqueue('b', i, new Uint8Array(200_000));
  await waitFor(() => batches.flat().length === 205, { what: 'all large messages' });
  expect(batches.slice(4).map(({ length }) => length)).toEqual([2, 2, 1]);
});

test('a peer with much to verify together uses its own time only', async () => {
  const { enqueue, batches } = setUp(1);
  for (const i of numbers(200)) enqueue('a', i);
  await new Promise((resolve) => setImmediate(resolve));
  enqueue('b', '0');
  expect(batches.flat().length).toBeLessThan(200);
  await waitFor(() => batches.flat().length === 201, { what: 'all messages' });
  expect(batches.flat().indexOf('b0')).toBeLessThan(150);
});

test('the time of large messages is charged to their peer, not to those whose messages are in the same batch', async () => {
  const { enqueue, batches } = setUp(0.01, [], 0, 0.01);
  for (const i of numbers(100)) enqueue('a', i, new Uint8Array(100 * 1024));
  for (const i of numbers(1000)) enqueue('b', i);
  await new Promise((resolve) => setImmediate(resolve));
  const verified = (from: string) => batches.flat().filter((id) => id.startsWith(from)).length;
  expect(verified('a')).toBeLessThan(20);
  expect(verified('b')).toBeGreaterThan(300);
});

test('messages of other keys and messages verified together are verified in the order they came', async () => {
  const { enqueue, send, verified, batches } = setUp(3);
  const alone = numbers(4).map((name) => send('a', { from: SECP256K1, name }));
  enqueue('a', 'x');
  await Promise.all(alone);
  await waitFor(() => batches.length > 0, { what: 'the batch' });
  expect(verified).toEqual(['a0', 'a1', 'a2', 'a3']);
  expect(batches).toEqual([['ax']]);
});

test('what waits to be verified together is bounded per peer and for all, and what is dropped is told', async () => {
  const { enqueue, metrics, dropped, batches } = setUp(0);
  const data = new Uint8Array(1024 * 1024);
  for (const from of ['a', 'b', 'c', 'd', 'e', 'f']) for (const i of numbers(20)) enqueue(from, i, data);
  const bound = metrics.gaugeValue('teranode_p2p_gossip_waiting_bytes_bound');
  expect(metrics.gaugeValue('teranode_p2p_gossip_waiting_bytes')).toBeLessThanOrEqual(bound);
  expect(dropped).toContain('a19 queue_full');
  expect(metrics.count('teranode_p2p_gossip_unverified_total', { reason: 'queue_full' })).toBe(dropped.length);
  await waitFor(() => metrics.gaugeValue('teranode_p2p_gossip_waiting_bytes') === 0, { what: 'nothing waiting' });
  expect(batches.flat().length + dropped.length).toBe(120);
});

test('so many batches are verified beside the loop at the same time, and the next one follows', async () => {
  const { enqueue, batches, ends } = setUp(0, [], 2);
  for (const i of numbers(200)) enqueue('a', i);
  const turns = async () => {
    for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  await turns();
  expect(batches.length).toBe(2);
  ends[0]?.();
  await turns();
  expect(batches.length).toBe(3);
  for (const end of ends) end();
  await waitFor(() => batches.flat().length === 200, { what: 'all messages' });
});

test('beside the loop all peers get their turn, whether others send many messages or large ones', async () => {
  const { enqueue, batches, ends } = setUp(0, [], 1);
  const keepSending = () => {
    enqueue('a', 'large', new Uint8Array(300_000));
    for (let i = 0; i < 70; i += 1) enqueue(String.fromCharCode(200 + i), 'many');
  };
  keepSending();
  enqueue('b', 'one');
  enqueue('c', 'one');
  for (let round = 0; round < 5; round += 1) {
    await waitFor(() => ends.length === round + 1, { what: 'a batch' });
    keepSending();
    ends[round]?.();
  }
  expect(batches.flat()).toContain('bone');
  expect(batches.flat()).toContain('cone');
});

test('large messages do not exceed the bound where the peers with most waiting sent short ones', async () => {
  const { enqueue, metrics, dropped, batches } = setUp(0);
  const peers = numbers(5).map((i) => String.fromCharCode(200 + Number(i)));
  for (const from of peers) for (let i = 0; i < 8000; i += 1) enqueue(from, 'short');
  for (const from of ['a', 'b', 'c', 'd']) enqueue(from, 'large', new Uint8Array(1024 * 1024));
  const bound = metrics.gaugeValue('teranode_p2p_gossip_waiting_bytes_bound');
  expect(metrics.gaugeValue('teranode_p2p_gossip_waiting_bytes')).toBeLessThanOrEqual(bound);
  await waitFor(() => metrics.gaugeValue('teranode_p2p_gossip_waiting_bytes') === 0, { what: 'nothing waiting' });
  expect(batches.flat().filter((id) => id.endsWith('large'))).toHaveLength(4);
  expect(batches.flat().length + dropped.length).toBe(5 * 8000 + 4);
});

test('on a busy network what comes within milliseconds is verified together, on a quiet one at once', async () => {
  const { enqueue, batches, pass } = setUp(0);
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  /** What is verified right after a message, when so many came in the 100 ms before. */
  const verifiedAfter = async (perTenth: number) => {
    for (const i of numbers(perTenth)) enqueue('a', `${i} of ${perTenth}`);
    pass(100);
    await waitFor(() => batches.flat().includes(`a${perTenth - 1} of ${perTenth}`), { what: 'all of them' });
    enqueue('a', `first after ${perTenth}`);
    await turn();
    const isAtOnce = batches.flat().includes(`afirst after ${perTenth}`);
    enqueue('a', `second after ${perTenth}`);
    await waitFor(() => batches.flat().includes(`asecond after ${perTenth}`), { what: 'the second' });
    return { isAtOnce, last: batches.at(-1) };
  };
  expect(await verifiedAfter(190)).toMatchObject({ isAtOnce: true, last: ['asecond after 190'] });
  const together = ['afirst after 300', 'asecond after 300'];
  expect(await verifiedAfter(300)).toMatchObject({ isAtOnce: false, last: together });
  expect(await verifiedAfter(10)).toMatchObject({ isAtOnce: true, last: ['asecond after 10'] });
});
