// Streams to peers are opened in parallel, and again, with growing pauses, to peers that lost theirs.
import type { Connection } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { expect, test } from 'vitest';
import { OutboundStreams } from '../../../src/adapters/libp2p/gossipsub/outbound-streams.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const MISSING = 'teranode_p2p_gossip_streams_missing';
const REOPENED = 'teranode_p2p_gossip_streams_reopened_total';
const [A, B] = [peer(1), peer(2)];

function connectionTo(id: string, changes: Partial<Connection> = {}): Connection {
  return { remotePeer: peerIdFromString(id), status: 'open', ...changes } as Connection;
}

function setUp(connections: readonly Connection[]) {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const streams = new Set<string>();
  const asked: number[] = [];
  const startMs = clock.monotonic();
  const begun: { id: string; done: () => void }[] = [];
  const outbound = new OutboundStreams({
    clock,
    metrics,
    hasStream: (id) => streams.has(id),
    connections: () => connections,
    speaksGossip: async (peerId) => peerId.toString() !== B,
    reconnect: (peerId, connection) => {
      asked.push(clock.monotonic() - startMs);
      void create(peerId, connection);
    },
  });
  const create = outbound.createOutboundStream((peerId) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    begun.push({ id: peerId.toString(), done: resolve });
    return promise;
  });
  const passSeconds = async (seconds: number) => {
    for (let i = 0; i < seconds; i += 1) {
      clock.advance(1000);
      await outbound.reopenMissing();
    }
  };
  return { metrics, streams, asked, begun, create, passSeconds };
}

test('a peer that does not answer keeps no other waiting, and is asked once', async () => {
  const { begun, create } = setUp([]);
  for (const id of [A, B, A]) await create(peerIdFromString(id), connectionTo(id));
  expect(begun.map(({ id }) => id)).toEqual([A, B]);
});

test('a peer without a stream gets one after 1, 2, 4 s and so on; when it has one it counts as reopened', async () => {
  const { metrics, streams, asked, begun, passSeconds } = setUp([connectionTo(A)]);
  const settle = async () => {
    begun.at(-1)?.done();
    await new Promise(setImmediate);
    await passSeconds(1);
  };
  await passSeconds(2);
  expect(metrics.gaugeValue(MISSING)).toBe(1);
  expect(asked).toEqual([2000]);
  await passSeconds(5);
  expect(asked).toEqual([2000]);
  await settle();
  expect(asked).toEqual([2000, 8000]);
  await settle();
  await passSeconds(3);
  expect(asked).toEqual([2000, 8000, 12_000]);
  expect(metrics.count(REOPENED, { outcome: 'failed' })).toBe(2);
  streams.add(A);
  await settle();
  expect(metrics.count(REOPENED, { outcome: 'opened' })).toBe(1);
  expect(metrics.gaugeValue(MISSING)).toBe(0);
});

test('peers that speak no gossip, limited connections and closed ones are left alone', async () => {
  const limited = connectionTo(peer(3), { limits: { bytes: 1n } });
  const closed = connectionTo(peer(4), { status: 'closed' });
  const { metrics, asked, passSeconds } = setUp([connectionTo(B), limited, closed]);
  await passSeconds(10);
  expect(metrics.gaugeValue(MISSING)).toBe(0);
  expect(asked).toEqual([]);
});
