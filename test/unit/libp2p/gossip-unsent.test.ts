// What waits for neighbours that do not read is bounded for all of them together; those that do read keep their streams.
import { expect, test } from 'vitest';
import { type SendingStream, UnsentGossip } from '../../../src/adapters/libp2p/gossipsub/outbound-backpressure.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

const MIB = 1024 * 1024;

class FakeStream implements SendingStream {
  writeBufferLength = 0;
  sendWindowCapacity = 0;
  isAborted = false;

  abort(): void {
    this.isAborted = true;
    this.writeBufferLength = 0;
  }
}

function setUp(count: number) {
  const metrics = new RecordedMetrics();
  const streams = Array.from({ length: count }, () => new FakeStream());
  const unsent = new UnsentGossip(metrics, () => streams.filter(({ isAborted }) => !isAborted));
  const bytes = () => metrics.gaugeValue('teranode_p2p_gossip_unsent_bytes');
  const dropped = () => metrics.count('teranode_p2p_gossip_streams_dropped_total');
  return { streams, unsent, bytes, dropped, bound: metrics.gaugeValue('teranode_p2p_gossip_unsent_bytes_bound') };
}

test('up to the bound nobody loses a stream', () => {
  const { streams, unsent, bytes, bound, dropped } = setUp(8);
  for (const stream of streams) stream.writeBufferLength = bound / 8;
  for (let i = 0; i < 60; i += 1) unsent.look();
  expect(bytes()).toBe(bound);
  expect(dropped()).toBe(0);
});

test('beyond it those go that read nothing, however little waits for each, and no more of them than need be', () => {
  const { streams, unsent, bytes, bound, dropped } = setUp(400);
  const slow = streams.slice(0, 5);
  const deaf = streams.slice(5);
  for (const stream of slow) stream.writeBufferLength = 12 * MIB;
  for (let i = 0; bytes() <= bound; i += 1) {
    for (const stream of slow) stream.sendWindowCapacity = i % 7;
    for (const stream of deaf) stream.writeBufferLength += 10_000;
    unsent.look();
    if (dropped() > 0) break;
  }
  expect(bytes()).toBeLessThanOrEqual(bound);
  expect(slow.some(({ isAborted }) => isAborted)).toBe(false);
  expect(dropped()).toBeGreaterThan(0);
  expect(dropped()).toBeLessThan(deaf.length);
});

test('of those that all read, the one for which most waits', () => {
  const { streams, unsent, bound } = setUp(3);
  streams.forEach((stream, i) => {
    stream.writeBufferLength = bound / 3 + i;
  });
  unsent.look();
  expect(streams.map(({ isAborted }) => isAborted)).toEqual([false, false, true]);
});
