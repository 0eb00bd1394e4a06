// What waits for peers that do not read is bounded for all of them together; peers that do read keep their streams.
import { expect, test } from 'vitest';
import {
  OutboundBackpressure,
  type SendingStream,
} from '../../../src/adapters/libp2p/gossipsub/outbound-backpressure.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const MIB = 1024 * 1024;

class FakeStream implements SendingStream {
  writeBufferLength = 0;
  sendWindowCapacity?: number = 0;
  isAborted = false;

  abort(): void {
    this.isAborted = true;
    this.writeBufferLength = 0;
  }
}

function setUp(count: number) {
  const metrics = new RecordedMetrics();
  const streams = Array.from({ length: count }, () => new FakeStream());
  const log = recordingLogger();
  const backpressure = new OutboundBackpressure({ log, metrics }, () => streams.filter((each) => !each.isAborted));
  const bytes = () => metrics.gaugeValue('teranode_p2p_gossip_unsent_bytes');
  const dropped = () => metrics.count('teranode_p2p_gossip_streams_dropped_total');
  return {
    streams,
    backpressure,
    log,
    bytes,
    dropped,
    bound: metrics.gaugeValue('teranode_p2p_gossip_unsent_bytes_bound'),
  };
}

test('up to the bound no peer loses its stream', () => {
  const { streams, backpressure, bytes, bound, dropped } = setUp(8);
  for (const stream of streams) stream.writeBufferLength = bound / 8;
  for (let i = 0; i < 60; i += 1) backpressure.check();
  expect(bytes()).toBe(bound);
  expect(dropped()).toBe(0);
});

test('beyond the bound ends streams of peers that read nothing, even with little waiting, and no more than needed', () => {
  const { streams, backpressure, bytes, bound, dropped } = setUp(400);
  const slow = streams.slice(0, 5);
  const deaf = streams.slice(5);
  for (const stream of slow) stream.writeBufferLength = 12 * MIB;
  for (let i = 0; bytes() <= bound; i += 1) {
    for (const stream of slow) stream.sendWindowCapacity = i % 7;
    for (const stream of deaf) stream.writeBufferLength += 10_000;
    backpressure.check();
    if (dropped() > 0) break;
  }
  expect(bytes()).toBeLessThanOrEqual(bound);
  expect(slow.some(({ isAborted }) => isAborted)).toBe(false);
  expect(dropped()).toBeGreaterThan(0);
  expect(dropped()).toBeLessThan(deaf.length);
});

test('when all peers read, ends the stream on which most waits', () => {
  const { streams, backpressure, bound } = setUp(3);
  streams.forEach((stream, i) => {
    stream.writeBufferLength = bound / 3 + i;
  });
  backpressure.check();
  expect(streams.map(({ isAborted }) => isAborted)).toEqual([false, false, true]);
});

test('without the window of yamux ends the stream on which most waits, and says so once', () => {
  const { streams, backpressure, log, bound } = setUp(3);
  streams.forEach((stream, i) => {
    delete stream.sendWindowCapacity;
    stream.writeBufferLength = 1 + i;
  });
  for (let i = 0; i < 5; i += 1) backpressure.check();
  (streams[2] as FakeStream).writeBufferLength = bound + 1;
  backpressure.check();
  expect(streams.map(({ isAborted }) => isAborted)).toEqual([false, false, true]);
  expect(log.lines.map(({ event }) => event)).toEqual([
    expect.stringMatching(/^yamux streams have no 'sendWindowCapacity': /),
  ]);
});
