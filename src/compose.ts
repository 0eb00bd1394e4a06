// Settings in, server out: the only file that names concrete adapters. What is opened here is closed here, in reverse.
import { join } from 'node:path';
import { loadAdminKey } from './adapters/grpc/admin-key.ts';
import { GrpcServer } from './adapters/grpc/grpc-server.ts';
import { HttpServer } from './adapters/http/http-server.ts';
import type { KafkaConnection } from './adapters/kafka/connection.ts';
import { KafkaConsumer } from './adapters/kafka/consumer.ts';
import { KafkaProducer } from './adapters/kafka/producer.ts';
import { kafkaTls } from './adapters/kafka/tls.ts';
import { loadIdentity } from './adapters/libp2p/identity.ts';
import { Libp2pNode } from './adapters/libp2p/libp2p-node.ts';
import { createLogger } from './adapters/logging/logger.ts';
import { MemoryBroker, MemoryConsumer, MemoryProducer } from './adapters/memory/broker.ts';
import { PrometheusMetrics } from './adapters/metrics/prometheus.ts';
import { openDataFolder } from './adapters/sql/data-folder.ts';
import { EmbeddedChain } from './adapters/sql/embedded-chain.ts';
import { banOptions, banStore, shadowRules } from './ban-options.ts';
import { BanSystem } from './bans/ban-system.ts';
import type { PolicyOptions } from './gossip/view.ts';
import { NetworkMember, type NetworkMemberOptions } from './network-member.ts';
import { nodeOptions } from './node-options.ts';
import { peerAdmin } from './peer-admin.ts';
import { type Clock, systemClock } from './ports/clock.ts';
import type { Consumer } from './ports/consumer.ts';
import type { Logger } from './ports/log.ts';
import type { Metrics } from './ports/metrics.ts';
import type { PeerAdmin } from './ports/peer-admin.ts';
import type { Producer } from './ports/producer.ts';
import { type Endpoint, Server, type ServerReady } from './server.ts';
import { parseKafkaUrl } from './settings/kafka-url.ts';
import type { Settings } from './settings/load.ts';
import { fullTopicNames, topicPrefixes } from './settings/topic-names.ts';
import { buildVersion } from './version.ts';
import type { PeerId } from './wire/ids.ts';
import { NETWORKS } from './wire/networks.ts';

export interface AppOptions {
  /** Of the lines on stdout, unless there is a logger of one's own. Default `json`. */
  readonly logFormat?: 'json' | 'pretty';
  readonly log?: Logger;
}

/** A composed server with all it stands on. */
export interface App {
  readonly log: Logger;
  readonly server: Server;
  readonly chain: EmbeddedChain;
  readonly metrics: Metrics;
  /** The in-process broker behind `memory://` URLs. */
  readonly memoryBroker: MemoryBroker;
  start(signal: AbortSignal): Promise<ServerReady>;
  /** May be called twice; bounded in time. */
  stop(): Promise<void>;
}

/** Opens what must be open before anything starts (data folder, chain, identity) and wires the rest. Throws P2PError. */
export async function compose(settings: Settings, options: AppOptions = {}): Promise<App> {
  const log = options.log ?? createLogger({ level: settings.logLevel, format: options.logFormat ?? 'json' });
  const dataFolder = openDataFolder(settings.dataFolder);
  const chain = embeddedChain(settings, dataFolder.path, log);
  try {
    await chain.start(new AbortController().signal);
    const keyFileFolders = [settings.p2p_peer_cache_dir || dataFolder.path, process.cwd()];
    const identity = await loadIdentity(
      { blockchain: chain, log },
      { privateKey: settings.p2p_private_key, keyFileFolders },
    );
    const metrics = new PrometheusMetrics();
    const memoryBroker = new MemoryBroker({ metrics }, queueBounds(settings));
    const deps = { log, metrics, clock: systemClock };
    const bans = new BanSystem({ ...deps, store: banStore(settings, dataFolder.path, log) }, banOptions(settings));
    const node = new Libp2pNode(
      { ...deps, random: Math.random, policy: bans },
      nodeOptions(settings, { privateKey: identity, version: buildVersion().version, dataFolder: dataFolder.path }),
    );
    const brokers = { ...deps, memoryBroker };
    const common = {
      ...deps,
      node,
      bans,
      blockchain: chain,
      blockProducer: producerFor(settings.kafka_blocksConfig, settings, brokers),
      subtreeProducer: producerFor(settings.kafka_subtreesConfig, settings, brokers),
    };
    const member = new NetworkMember(
      { ...common, random: Math.random },
      memberOptions(settings, buildVersion().version),
    );
    const server = new Server(
      {
        ...common,
        member,
        reports: {
          invalidBlocks: consumerFor(settings.kafka_invalidBlocksConfig, settings, brokers),
          invalidSubtrees: consumerFor(settings.kafka_invalidSubtreesConfig, settings, brokers),
          rejectedTxs: consumerFor(settings.kafka_rejectedTxConfig, settings, brokers),
        },
        grpc: await grpcServer(
          settings,
          dataFolder.path,
          peerAdmin({ bans, node, registry: member.registry, isWhitelisted: banOptions(settings).isWhitelisted }),
          deps,
        ),
        endpoints: (self) => httpEndpoints(settings, self, metrics, log),
      },
      serverOptions(settings),
    );
    return app({ server, chain, metrics, memoryBroker, log, release: () => dataFolder.release() });
  } catch (error) {
    await chain.stop();
    dataFolder.release();
    throw error;
  }
}

function app(parts: Omit<App, 'start' | 'stop'> & { release: () => void }): App {
  const { release, ...rest } = parts;
  return {
    ...rest,
    start: async (signal) => {
      await parts.server.init();
      return await parts.server.start(signal);
    },
    stop: async () => {
      await parts.server.stop();
      await parts.chain.stop();
      release();
    },
  };
}

function embeddedChain(settings: Settings, dataFolder: string, log: Logger): EmbeddedChain {
  return new EmbeddedChain(
    { log, clock: systemClock },
    {
      network: NETWORKS[settings.network],
      path: chainPath(settings.blockchain_store, dataFolder),
      headersFile: settings.embedded_chain_headers || undefined,
      mineIntervalMs: settings.embedded_chain_mine_interval,
      minerText: `/${settings.clientName}/`,
    },
  );
}

/** A PostgreSQL store belongs to a real blockchain service: the embedded chain keeps to its own file. */
function chainPath(store: string, dataFolder: string): string {
  if (store.startsWith('sqlitememory://')) return ':memory:';
  const name = store.startsWith('sqlite:///') ? store.slice('sqlite:///'.length) : 'blockchain';
  return join(dataFolder, `${name.replaceAll('..', '_')}.db`);
}

function queueBounds(settings: Settings) {
  return { maxMessages: settings.kafka_queue_max_messages, maxBytes: settings.kafka_queue_max_bytes };
}

function producerFor(
  text: string,
  settings: Settings,
  deps: { log: Logger; metrics: PrometheusMetrics; memoryBroker: MemoryBroker },
): Producer {
  const url = parseKafkaUrl(text);
  if (url.scheme === 'memory')
    return new MemoryProducer({ broker: deps.memoryBroker, metrics: deps.metrics }, { topic: url.topic });
  return new KafkaProducer(deps, { ...kafkaConnection(url, settings), ...queueBounds(settings) });
}

function consumerFor(
  text: string,
  settings: Settings,
  deps: { log: Logger; metrics: PrometheusMetrics; memoryBroker: MemoryBroker },
): Consumer {
  const url = parseKafkaUrl(text);
  const groupId = `p2p.${settings.clientName}`;
  if (url.scheme === 'memory')
    return new MemoryConsumer(
      { ...deps, broker: deps.memoryBroker },
      { topic: url.topic, groupId, replay: url.replay },
    );
  return new KafkaConsumer(deps, { ...kafkaConnection(url, settings), groupId });
}

async function grpcServer(
  settings: Settings,
  dataFolder: string,
  admin: PeerAdmin,
  deps: { log: Logger; metrics: Metrics; clock: Clock },
): Promise<GrpcServer> {
  const configured = settings.grpc_admin_api_key;
  const adminKey = await loadAdminKey({ configured, dataFolder, log: deps.log });
  const {
    security_level_grpc: level,
    server_certFile: certFile,
    server_keyFile: keyFile,
    server_caFile: caFile,
  } = settings;
  return new GrpcServer(
    { admin, ...deps },
    { listenAddress: settings.p2p_grpc_listen_address, adminKey, tls: { level, certFile, keyFile, caFile } },
  );
}

function kafkaConnection(url: KafkaConnection['url'], settings: Settings): KafkaConnection {
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

function httpEndpoints(settings: Settings, server: Server, metrics: PrometheusMetrics, log: Logger): Endpoint[] {
  const sources = {
    health: (checkLiveness: boolean) => server.health(checkLiveness),
    scrape: () => metrics.scrape(),
  };
  const { server_certFile: certFile, server_keyFile: keyFile } = settings;
  const tls = settings.securityLevelHTTP === 1 && certFile && keyFile ? { certFile, keyFile } : undefined;
  const main = new HttpServer(
    { log, sources },
    { listenAddress: settings.p2p_http_listen_address, tls, routes: 'full' },
  );
  const probes = settings.health_check_httpListenAddress;
  if (probes === undefined) return [main];
  return [main, new HttpServer({ log, sources }, { listenAddress: probes, tls: undefined, routes: 'probes' })];
}

function serverOptions(settings: Settings) {
  return {
    assetHttpPublicAddress: settings.asset_httpPublicAddress,
    assetHttpAddress: settings.asset_httpAddress,
    httpAddress: settings.p2p_http_address,
    servesHttps: settings.securityLevelHTTP === 1,
  };
}

function memberOptions(settings: Settings, version: string): NetworkMemberOptions {
  return {
    networks: topicPrefixes(settings).map((topicPrefix) => ({
      topicPrefix,
      topics: fullTopicNames(settings, topicPrefix),
    })),
    userAgent: `teranode/bitcoin/${version}`,
    policy: policyOptions(settings),
    isShadow: shadowRules(settings),
    peerMap: {
      maxSize: settings.p2p_peer_map_max_size,
      ttlMs: settings.p2p_peer_map_ttl,
      cleanUpIntervalMs: settings.p2p_peer_map_cleanup_interval,
    },
    handshake: {
      topicSize: settings.p2p_handshake_topic_size,
      topicTimeoutMs: settings.p2p_handshake_topic_timeout,
    },
    sync: {
      minPeers: settings.p2p_min_peers_for_sync,
      maxWaitMs: settings.p2p_max_wait_for_min_peers,
      forcedPeer: settings.p2p_force_sync_peer as PeerId | undefined,
      hasBootstrap: settings.p2p_bootstrap_addresses.length > 0,
    },
  };
}

/** Twenty times its rate at once, as an author has. */
const RELAY_BURST_SECONDS = 20;

function policyOptions(settings: Settings): PolicyOptions {
  const { powLimitBits, allowsMinDifficultyBlocks } = NETWORKS[settings.network];
  return {
    powLimitBits,
    verifiesHeaderPow: settings.p2p_verify_header_pow,
    requiresHeader: settings.p2p_require_header,
    authorRate: { perSecond: settings.p2p_author_rate, burst: settings.p2p_author_burst },
    relayRate: { perSecond: settings.p2p_relay_rate, burst: settings.p2p_relay_rate * RELAY_BURST_SECONDS },
    dataHubUrls: {
      allowsPrivate: settings.p2p_allow_private_datahubs,
      blacklist: settings.subtreevalidation_blacklisted_baseurls,
    },
    maxTargetRatio: allowsMinDifficultyBlocks ? 0 : settings.p2p_max_target_ratio,
  };
}
