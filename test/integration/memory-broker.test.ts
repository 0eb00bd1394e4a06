import { describe, expect, test } from 'vitest';
import { MemoryBroker, MemoryConsumer, MemoryProducer } from '../../src/adapters/memory/broker.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { brokerConformance } from '../support/broker-conformance.ts';
import { TEXT_CODEC, textOf } from '../support/text-codec.ts';
import { waitFor } from '../support/wait.ts';

function setUp(maxMessages = 100_000) {
  const metrics = new RecordedMetrics();
  const broker = new MemoryBroker({ metrics }, { maxMessages, maxBytes: 1 << 26 });
  const deps = { broker, metrics, log: recordingLogger() };
  return {
    metrics,
    producer: (topic: string) => new MemoryProducer(deps, { topic, ...TEXT_CODEC }),
    consumer: (topic: string, groupId: string, options: { replay?: boolean } = {}) =>
      new MemoryConsumer(deps, { topic, groupId, replay: options.replay ?? true, ...TEXT_CODEC }),
  };
}

describe('memory:// passes the conformance suite of brokers', () => {
  // The bound of an in-process topic belongs to its broker.
  let shared: ReturnType<typeof setUp> | undefined;
  brokerConformance(() => {
    shared = setUp();
    const { metrics, consumer } = shared;
    let current = shared;
    return {
      metrics,
      producer: (topic, bounds) => {
        if (bounds !== undefined) current = setUp(bounds.maxMessages);
        return current.producer(topic);
      },
      consumer: (topic, groupId, options) =>
        current === shared ? consumer(topic, groupId, options) : current.consumer(topic, groupId, options),
    };
  });
});

test('unread records that leave a full topic are counted as dropped', async () => {
  const { metrics, producer, consumer } = setUp(5);
  const release = Promise.withResolvers<void>();
  const seen: string[] = [];
  const slow = consumer('t', 'slow');
  await slow.start(async (message) => {
    seen.push(textOf(message));
    await release.promise;
  }, new AbortController().signal);
  const out = producer('t');
  for (let i = 0; i < 20; i += 1) out.publish(`${i}`);
  await waitFor(() => seen.length === 1, { what: 'the first record' });
  release.resolve();
  await waitFor(() => seen.at(-1) === '19', { what: 'the newest' });
  expect(seen.slice(-5)).toEqual(['15', '16', '17', '18', '19']);
  expect(metrics.count('teranode_p2p_kafka_dropped_total', { reason: 'queue_full' })).toBeGreaterThan(0);
  await slow.stop();
});
