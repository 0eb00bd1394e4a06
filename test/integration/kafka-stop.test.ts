// Producers and consumers end at once, whatever the broker does: one that hangs must not hold up the end of the
// process.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KafkaConsumer } from '../../src/adapters/kafka/consumer.ts';
import { KafkaProducer } from '../../src/adapters/kafka/producer.ts';
import { parseKafkaUrl } from '../../src/settings/kafka-url.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { type SilentBroker, silentBroker } from '../support/silent-broker.ts';
import { TEXT_CODEC } from '../support/text-codec.ts';
import { waitFor } from '../support/wait.ts';

const signal = new AbortController().signal;
let broker: SilentBroker;

beforeEach(async () => {
  broker = await silentBroker();
});

afterEach(() => broker.stop());

function parts() {
  const deps = { log: recordingLogger(), metrics: new RecordedMetrics() };
  const connection = { url: parseKafkaUrl(`kafka://${broker.address}/t`), clientId: 'test', tls: undefined };
  return {
    metrics: deps.metrics,
    producer: new KafkaProducer(deps, { ...connection, maxMessages: 10, maxBytes: 10_000, ...TEXT_CODEC }),
    consumer: new KafkaConsumer(deps, { ...connection, groupId: 'g', ...TEXT_CODEC }),
  };
}

describe('a broker that accepts connections and never answers', () => {
  test('a consumer leaves no connection behind', async () => {
    const { consumer } = parts();
    await consumer.start(() => {}, signal);
    await waitFor(() => broker.connections() > 0, { what: 'the connection' });
    await consumer.stop(60_000);
    await waitFor(() => broker.connections() === 0, { timeoutMs: 2000, what: 'the end of the connection' });
  });

  test('a producer without messages stops without waiting for its deadline', async () => {
    const { producer } = parts();
    await producer.start(signal);
    await waitFor(() => broker.connections() > 0, { what: 'the connection' });
    await producer.stop(60_000);
    await waitFor(() => broker.connections() === 0, { timeoutMs: 2000, what: 'the end of the connection' });
  });

  test('a producer that holds messages waits for its deadline, then counts them as lost', async () => {
    const { producer, metrics } = parts();
    await producer.start(signal);
    producer.publish('x');
    await producer.stop(50);
    expect(metrics.count('teranode_p2p_kafka_dropped_total', { reason: 'stopped' })).toBe(1);
    await waitFor(() => broker.connections() === 0, { timeoutMs: 2000, what: 'the end of the connection' });
  });

  test('a probe ends with its deadline and with stop', async () => {
    const { producer } = parts();
    expect(await producer.probe(50)).toMatchObject({ ok: false, details: expect.stringContaining('no answer from') });
    const probed = producer.probe(60_000);
    await producer.stop();
    expect(await probed).toMatchObject({ ok: false });
    await waitFor(() => broker.connections() === 0, { timeoutMs: 2000, what: 'the end of the connection' });
  });

  test('concurrent probes share one connection, which stays open until the last one ends', async () => {
    const all = [parts(), parts(), parts()].flatMap(({ producer, consumer }) => [producer, consumer]);
    const [first, ...others] = all;
    const probed = Promise.all(all.map((each) => each.probe(60_000)));
    await waitFor(() => broker.connections() > 0, { what: 'the connection' });
    await first?.stop();
    await first?.probe(50);
    expect(broker.connections()).toBe(1);
    await Promise.all(others.map((each) => each.stop()));
    expect((await probed).map(({ ok }) => ok)).toEqual(all.map(() => false));
    await waitFor(() => broker.connections() === 0, { timeoutMs: 2000, what: 'the end of the connection' });
  });
});
