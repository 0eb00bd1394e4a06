// Settings in, server out: the only file that names concrete adapters. What is opened here is closed here, in reverse.
import { join } from 'node:path';
import { HttpServer } from './adapters/http/http-server.ts';
import { KafkaProducer } from './adapters/kafka/producer.ts';
import { kafkaTls } from './adapters/kafka/tls.ts';
import { loadIdentity } from './adapters/libp2p/identity.ts';
import { Libp2pNode } from './adapters/libp2p/libp2p-node.ts';
import type { Libp2pNodeOptions } from './adapters/libp2p/node-options.ts';
import { createLogger } from './adapters/logging/logger.ts';
import { MemoryBroker } from './adapters/memory/broker.ts';
import { PrometheusMetrics } from './adapters/metrics/prometheus.ts';
import { openDataFolder } from './adapters/sql/data-folder.ts';
import { EmbeddedChain } from './adapters/sql/embedded-chain.ts';
import { systemClock } from './ports/clock.ts';
import type { Logger } from './ports/log.ts';
import type { Producer } from './ports/producer.ts';
import { Server, type ServerReady } from './server.ts';
import { parseKafkaUrl } from './settings/kafka-url.ts';
import type { LoadedSettings, Settings } from './settings/load.ts';
import { buildVersion } from './version.ts';
import { NETWORKS } from './wire/networks.ts';
import { topicName } from './wire/topics.ts';

export interface App {
  readonly log: Logger;
  /** The in-process broker behind `memory://` URLs. */
  readonly memoryBroker: MemoryBroker;
  start(signal: AbortSignal): Promise<ServerReady>;
  /** May be called twice. */
  stop(): Promise<void>;
}
