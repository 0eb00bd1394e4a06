// Kafka producers and consumers from the settings; `memory://` URLs name topics of the in-process broker. The Kafka
// client is loaded when a setting names a broker.
import {
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
  decodeKafkaRejectedTx,
  encodeKafkaBlock,
  encodeKafkaSubtree,
} from '../adapters/kafka/codec.ts';
import type { KafkaConnection } from '../adapters/kafka/connection.ts';
import { kafkaTls } from '../adapters/kafka/tls.ts';
import { MemoryBroker, MemoryConsumer, MemoryProducer } from '../adapters/memory/broker.ts';
import type { BlockAnnouncement, SubtreeAnnouncement } from '../domain/announcement.ts';
import type { InvalidBlockReport, InvalidSubtreeReport, RejectedTxReport } from '../domain/report.ts';
import type { Consumer } from '../ports/consumer.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { Producer } from '../ports/producer.ts';
import { parseKafkaUrl } from '../settings/kafka-url.ts';
import type { Settings } from '../settings/load.ts';
import { speaks } from '../settings/wire.ts';
import type { Decoded } from '../wire/fault.ts';
import type { Core } from './core.ts';

export interface KafkaDependencies extends Core {
  readonly memoryBroker: MemoryBroker;
}

/** What this server hands to the node's other services. */
export interface Producers {
  readonly blocks: Producer<BlockAnnouncement>;
  readonly subtrees: Producer<SubtreeAnnouncement>;
  start(signal: AbortSignal): Promise<void>;
  /** Flushes what was accepted within the deadline. */
  stop(deadlineMs: number): Promise<void>;
}

/** Producers of the caller, in the place of ours. */
export interface OwnProducers {
  readonly blocks: Producer<BlockAnnouncement> | undefined;
  readonly subtrees: Producer<SubtreeAnnouncement> | undefined;
}

/** What the node's own validation reports. */
export interface ReportConsumers {
  readonly invalidBlocks: Consumer<InvalidBlockReport>;
  readonly invalidSubtrees: Consumer<InvalidSubtreeReport>;
  readonly rejectedTxs: Consumer<RejectedTxReport>;
}

export function createMemoryBroker(settings: Settings, deps: { readonly metrics: Metrics }): MemoryBroker {
  return new MemoryBroker(deps, queueBounds(settings));
}

export async function createProducers(
  settings: Settings,
  deps: KafkaDependencies,
  own: OwnProducers,
): Promise<Producers> {
  const blocks = own.blocks ?? (await producer(settings.kafka_blocksConfig, encodeKafkaBlock, settings, deps));
  const subtrees = own.subtrees ?? (await producer(settings.kafka_subtreesConfig, encodeKafkaSubtree, settings, deps));
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

export async function createReportConsumers(settings: Settings, deps: KafkaDependencies): Promise<ReportConsumers> {
  return {
    invalidBlocks: await consumer(settings.kafka_invalidBlocksConfig, decodeKafkaInvalidBlock, settings, deps),
    invalidSubtrees: await consumer(settings.kafka_invalidSubtreesConfig, decodeKafkaInvalidSubtree, settings, deps),
    rejectedTxs: await consumer(settings.kafka_rejectedTxConfig, decodeKafkaRejectedTx, settings, deps),
  };
}

async function producer<T extends { readonly hash: string }>(
  text: string,
  encode: (value: T) => Uint8Array,
  settings: Settings,
  deps: KafkaDependencies,
): Promise<Producer<T>> {
  const url = parseKafkaUrl(text);
  if (url.scheme === 'memory')
    return new MemoryProducer({ broker: deps.memoryBroker, metrics: deps.metrics }, { topic: url.topic, encode });
  const { KafkaProducer } = await import('../adapters/kafka/producer.ts');
  const options = { ...kafkaConnection(url, settings), ...queueBounds(settings), encode };
  // Services since October 2025 expect the hash as key; those before expect none.
  return new KafkaProducer(deps, speaks(settings, 'message-bus') ? { ...options, keyOf: ({ hash }) => hash } : options);
}

async function consumer<T>(
  text: string,
  decode: (bytes: Uint8Array) => Decoded<T>,
  settings: Settings,
  deps: KafkaDependencies,
): Promise<Consumer<T>> {
  const url = parseKafkaUrl(text);
  const groupId = `p2p.${settings.clientName}`;
  if (url.scheme === 'memory') {
    const options = { topic: url.topic, groupId, replay: url.replay, decode };
    return new MemoryConsumer({ ...deps, broker: deps.memoryBroker }, options);
  }
  const { KafkaConsumer } = await import('../adapters/kafka/consumer.ts');
  return new KafkaConsumer(deps, { ...kafkaConnection(url, settings), groupId, decode });
}

function queueBounds(settings: Settings) {
  return { maxMessages: settings.kafka_queue_max_messages, maxBytes: settings.kafka_queue_max_bytes };
}

export function kafkaConnection(url: KafkaConnection['url'], settings: Settings): KafkaConnection {
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
