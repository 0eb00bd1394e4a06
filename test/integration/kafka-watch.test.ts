// What counts as an outage of Kafka: no broker of the URL answers, or a request fails for some time. One broker that is
// away, and one attempt that is repeated, are ordinary life of a cluster.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { BrokerWatch } from '../../src/adapters/kafka/broker-watch.ts';
import { parseKafkaUrl } from '../../src/settings/kafka-url.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { answeringBroker } from '../support/answering-broker.ts';
import { silentBroker } from '../support/silent-broker.ts';
import { waitFor } from '../support/wait.ts';

const UP = 'teranode_p2p_kafka_up';
const ERRORS = 'teranode_p2p_kafka_errors_total';

function watching(brokers: readonly string[]) {
  const log = recordingLogger();
  const metrics = new RecordedMetrics();
  const connection = { url: parseKafkaUrl(`kafka://${brokers.join(',')}/t`), clientId: 'test', tls: undefined };
  const watch = new BrokerWatch({ log, metrics }, connection);
  const warnings = () => log.lines.filter(({ level }) => level === 'warn').map(({ event }) => event);
  return { watch, log, metrics, warnings, events: () => log.lines.map(({ event }) => event) };
}

test('a broker that hangs beside one that answers is no outage', async () => {
  const [silent, answering] = [await silentBroker(), await answeringBroker()];
  const { watch, metrics, events } = watching([silent.address, answering.address]);
  const stop = new AbortController();
  const running = watch.run(stop.signal);
  try {
    await waitFor(() => answering.answered() > 0, { timeoutMs: 20_000, what: 'an answer' });
    expect({ events: events(), up: metrics.gaugeValue(UP, { topic: 't' }) }).toEqual({ events: [], up: 1 });
  } finally {
    stop.abort();
    await running;
    await Promise.all([silent.stop(), answering.stop()]);
  }
});

test('brokers of which none answers are an outage', async () => {
  const brokers = [await silentBroker(), await silentBroker({ drops: true })];
  const { watch, log, metrics, warnings } = watching(brokers.map(({ address }) => address));
  const stop = new AbortController();
  const running = watch.run(stop.signal);
  try {
    await waitFor(() => warnings().length > 0, { timeoutMs: 20_000, what: 'the warning' });
    expect(warnings()).toEqual(['Kafka unavailable']);
    expect(log.lines.at(-1)?.fields).not.toHaveProperty('reason', expect.stringContaining('stopped'));
    expect(metrics.gaugeValue(UP, { topic: 't' })).toBe(0);
    expect(metrics.count(ERRORS, { topic: 't' })).toBeGreaterThan(0);
  } finally {
    stop.abort();
    await running;
    await Promise.all(brokers.map((broker) => broker.stop()));
  }
});

describe('a request that fails and is repeated', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('is counted, and is an outage only after some seconds without an answer', () => {
    vi.useFakeTimers();
    const { watch, metrics, events } = watching(['127.0.0.1:1']);
    const failed = () => watch.requestFailed(new Error('the leader of the partition has moved'));
    failed();
    vi.advanceTimersByTime(500);
    watch.requestAnswered();
    vi.advanceTimersByTime(60_000);
    failed();
    expect(metrics.count(ERRORS, { topic: 't' })).toBe(2);
    expect({ events: events(), up: metrics.gaugeValue(UP, { topic: 't' }) }).toEqual({ events: [], up: 1 });
    vi.advanceTimersByTime(3000);
    failed();
    expect({ events: events(), up: metrics.gaugeValue(UP, { topic: 't' }) }).toEqual({
      events: ['Kafka unavailable'],
      up: 0,
    });
    watch.requestAnswered();
    expect(events().at(-1)).toBe('Kafka available again');
    expect(metrics.gaugeValue(UP, { topic: 't' })).toBe(1);
  });
});
