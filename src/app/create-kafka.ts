// Kafka producers and consumers from the settings; `memory://` URLs name topics of the in-process broker.
import type { KafkaConnection } from '../adapters/kafka/connection.ts';
import { KafkaConsumer } from '../adapters/kafka/consumer.ts';
import { KafkaProducer } from '../adapters/kafka/producer.ts';
import { kafkaTls } from '../adapters/kafka/tls.ts';
import { MemoryBroker, MemoryConsumer, MemoryProducer } from '../adapters/memory/broker.ts';
import type { Consumer } from '../ports/consumer.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Producer } from '../ports/producer.ts';
import { parseKafkaUrl } from '../settings/kafka-url.ts';
import type { Settings } from '../settings/load.ts';
import type { Core } from './core.ts';

export interface KafkaDependencies extends Core {
  readonly memoryBroker: MemoryBroker;
}

/** What this server hands to the node's other services. */
export interface Producers {
  readonly blocks: Producer;
  readonly subtrees: Producer;
  start(signal: AbortSignal): Promise<void>;
  /** Flushes what was accepted within the deadline. */
  stop(deadlineMs: number): Promise<void>;
}

/** Producers of the caller, in the place of ours. */
export interface OwnProducers {
  readonly blocks: Producer | undefined;
  readonly subtrees: Producer | undefined;
}

/** What the node's own validation reports. */
export interface ReportConsumers {
  readonly invalidBlocks: Consumer;
  readonly invalidSubtrees: Consumer;
  readonly rejectedTxs: Consumer;
}

export function createMemoryBroker(settings: Settings, deps: { readonly metrics: Metrics }): MemoryBroker {
  return new MemoryBroker(deps, queueBounds(settings));
}

export function createProducers(settings: Settings, deps: KafkaDependencies, own: OwnProducers): Producers {
  const blocks = own.blocks ?? producer(settings.kafka_blocksConfig, settings, deps);
  const subtrees = own.subtrees ?? producer(settings.kafka_subtreesConfig, settings, deps);
  return {
    blocks,
    subtrees,
    start: async (signal) => {
      await blocks.start(signal);
      await subtrees.start(signal);
    },
    stop: async (deadlineMs) => {
      await Promise.all([blocks.stop(deadlineMs), subtrees.stop(deadlineMs)]);
    },
  };
}

export function createReportConsumers(settings: Settings, deps: KafkaDependencies): ReportConsumers {
  return {
    invalidBlocks: consumer(settings.kafka_invalidBlocksConfig, settings, deps),
    invalidSubtrees: consumer(settings.kafka_invalidSubtreesConfig, settings, deps),
    rejectedTxs: consumer(settings.kafka_rejectedTxConfig, settings, deps),
  };
}

function producer(text: string, settings: Settings, deps: KafkaDependencies): Producer {
  const url = parseKafkaUrl(text);
  if (url.scheme === 'memory')
    return new MemoryProducer({ broker: deps.memoryBroker, metrics: deps.metrics }, { topic: url.topic });
  return new KafkaProducer(deps, { ...connection(url, settings), ...queueBounds(settings) });
}

function consumer(text: string, settings: Settings, deps: KafkaDependencies): Consumer {
  const url = parseKafkaUrl(text);
  const groupId = `p2p.${settings.clientName}`;
  if (url.scheme === 'memory') {
    const options = { topic: url.topic, groupId, replay: url.replay };
    return new MemoryConsumer({ ...deps, broker: deps.memoryBroker }, options);
  }
  return new KafkaConsumer(deps, { ...connection(url, settings), groupId });
}

function queueBounds(settings: Settings) {
  return { maxMessages: settings.kafka_queue_max_messages, maxBytes: settings.kafka_queue_max_bytes };
}

function connection(url: KafkaConnection['url'], settings: Settings): KafkaConnection {
  return {
    url,
    clientId: settings.clientName || 'teranode-p2p',
    tls: kafkaTls({
      enabled: settings.KAFKA_ENABLE_TLS,
      skipVerify: settings.KAFKA_TLS_SKIP_VERIFY,
      caFile: settings.KAFKA_TLS_CA_FILE,
      certFile: settings.KAFKA_TLS_CERT_FILE,
      keyFile: settings.KAFKA_TLS_KEY_FILE,
    }),
  };
}
