// Producers and consumers of ours on a real broker, with metrics and log lines that can be read back.
import { KafkaConsumer } from '../../src/adapters/kafka/consumer.ts';
import { KafkaProducer } from '../../src/adapters/kafka/producer.ts';
import type { kafkaTls } from '../../src/adapters/kafka/tls.ts';
import { parseKafkaUrl } from '../../src/settings/kafka-url.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { TEXT_CODEC } from './text-codec.ts';

/** Never aborted. */
export const signal = new AbortController().signal;

export function partsFor(address: string, tls?: ReturnType<typeof kafkaTls>) {
  const metrics = new RecordedMetrics();
  const deps = { log: recordingLogger(), metrics };
  const connection = (topic: string, query: string) => ({
    url: parseKafkaUrl(`kafka://${address}/${topic}?${query}`),
    clientId: 'test',
    tls,
  });
  return {
    metrics,
    log: deps.log,
    producer: (
      topic: string,
      bounds = { maxMessages: 100_000 },
      query = '',
      keys: { keyOf?: (text: string) => string } = {},
    ) => new KafkaProducer(deps, { ...connection(topic, query), maxBytes: 1 << 26, ...bounds, ...TEXT_CODEC, ...keys }),
    /** The group is one of the topic, unless it is given a name of its own. */
    consumer: (topic: string, groupId: string, options: { replay?: boolean; group?: string; query?: string } = {}) =>
      new KafkaConsumer(deps, {
        ...connection(topic, `replay=${options.replay === false ? 0 : 1}&${options.query ?? ''}`),
        ...TEXT_CODEC,
        groupId: options.group ?? `${topic}-${groupId}`,
      }),
  };
}
