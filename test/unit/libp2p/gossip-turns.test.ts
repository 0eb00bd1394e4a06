// Neighbours take turns at the verification of their messages; what waits is bounded, and so is the time for keys that are not Ed25519.
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { GossipSub } from '@libp2p/gossipsub';
import { expect, test } from 'vitest';
import { takeTurns } from '../../../src/adapters/libp2p/gossipsub/verification-scheduler.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';
import { waitFor } from '../../support/wait.ts';

const ED25519 = (await generateKeyPair('Ed25519')).publicKey.toMultihash().bytes;
const SECP256K1 = (await generateKeyPair('secp256k1')).publicKey.toMultihash().bytes;
const RSA = (await generateKeyPair('RSA', 2048)).publicKey.toMultihash().bytes;

interface Message {
  readonly from: Uint8Array;
  readonly data?: Uint8Array;
  readonly name?: string;
}

class FakeStream {
  readStatus = 'readable';

  pause(): void {
    this.readStatus = 'paused';
  }

  resume(): void {
    this.readStatus = 'readable';
  }
}

/** A verification takes so long, by a clock of its own. */
function setUp(costMs: number, seen: readonly string[] = []) {
  const metrics = new RecordedMetrics();
  let nowMs = 0;
  const judged: string[] = [];
  const streams = new Map<string, { rawStream: FakeStream }>();
  const library = {
    validateReceivedMessage: (relay: string, { name = '' }: Message): Promise<unknown> => {
      nowMs += costMs;
      judged.push(`${relay}${name}`);
      return Promise.resolve({ code: 'valid' });
    },
    streamsInbound: streams,
    fastMsgIdFn: ({ name = '' }: Message) => name,
    fastMsgIdCache: { get: (name: string) => (seen.includes(name) ? name : undefined) },
  };
  takeTurns(library as unknown as GossipSub, metrics, () => nowMs);
  const send = (relay: string, message: Message) => library.validateReceivedMessage(relay, message);
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { metrics, judged, streams, send, pass };
}

test('a neighbour with much to verify lets others pass, and its own comes in its order', async () => {
  const { judged, send } = setUp(2);
  const many = Array.from({ length: 9 }, (_each, i) => send('a', { from: ED25519, name: String(i) }));
  const one = send('b', { from: ED25519, name: '0' });
  expect(judged).toEqual(['a0', 'a1', 'a2', 'b0']);
  expect(await one).toEqual({ code: 'valid' });
  await Promise.all(many);
  expect(judged).toEqual(['a0', 'a1', 'a2', 'b0', 'a3', 'a4', 'a5', 'a6', 'a7', 'a8']);
});

test('what was seen before does not wait', async () => {
  const { judged, send } = setUp(10, ['seen']);
  const late = [send('a', { from: ED25519, name: '0' }), send('a', { from: ED25519, name: '1' })];
  void send('a', { from: ED25519, name: 'seen' });
  expect(judged).toEqual(['a0', 'aseen']);
  await Promise.all(late);
});

test.each([
  ['secp256k1', SECP256K1],
  ['RSA', RSA],
])('messages of %s authors have some time a second, and no more', async (_name, from) => {
  const { metrics, send, pass } = setUp(10);
  const codes = async (relay: string, count: number) =>
    Promise.all(Array.from({ length: count }, () => send(relay, { from }))) as Promise<{ code: string }[]>;
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

test('what waits is bounded for a neighbour, and for all of them', async () => {
  const { metrics, send } = setUp(10);
  const data = new Uint8Array(1024 * 1024);
  const all = Array.from({ length: 6 }, (_relay, relay) =>
    Array.from({ length: 20 }, () => send(String(relay), { from: ED25519, data })),
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

test('a neighbour is not read while much of it waits, another is', async () => {
  const { streams, send } = setUp(10);
  for (const relay of ['a', 'b']) streams.set(relay, { rawStream: new FakeStream() });
  const status = (relay: string) => streams.get(relay)?.rawStream.readStatus;
  const data = new Uint8Array(100_000);
  const all = Array.from({ length: 12 }, () => send('a', { from: ED25519, data }));
  all.push(send('b', { from: ED25519, data }));
  expect([status('a'), status('b')]).toEqual(['paused', 'readable']);
  await Promise.all(all);
  await waitFor(() => status('a') === 'readable', { what: 'the neighbour read again' });
});

test('a stream that took the place of one that is not read is not read either; one that ended is left alone', async () => {
  const { streams, send } = setUp(10);
  const [first, second] = [new FakeStream(), new FakeStream()];
  streams.set('a', { rawStream: first });
  const data = new Uint8Array(100_000);
  const all = Array.from({ length: 12 }, () => send('a', { from: ED25519, data }));
  first.readStatus = 'closed';
  streams.set('a', { rawStream: second });
  all.push(send('a', { from: ED25519, data }));
  expect([first.readStatus, second.readStatus]).toEqual(['closed', 'paused']);
  await Promise.all(all);
  await waitFor(() => second.readStatus === 'readable', { what: 'the stream read again' });
  expect(first.readStatus).toBe('closed');
});
