// Settings in, server out: the only file that names concrete adapters. What is opened here is closed here, in reverse.

import { HttpDataHubProber } from '../adapters/datahub/datahub-prober.ts';
import { loadAdminKey } from '../adapters/grpc/admin-key.ts';
import { GrpcServer } from '../adapters/grpc/grpc-server.ts';
import { HttpServer, type HttpServerOptions } from '../adapters/http/server/http-server.ts';
import {
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
  decodeKafkaRejectedTx,
  encodeKafkaBlock,
  encodeKafkaSubtree,
} from '../adapters/kafka/codec.ts';
import type { KafkaConnection } from '../adapters/kafka/connection.ts';
import { KafkaConsumer } from '../adapters/kafka/consumer.ts';
import { KafkaProducer } from '../adapters/kafka/producer.ts';
import { kafkaTls } from '../adapters/kafka/tls.ts';
import { loadIdentity } from '../adapters/libp2p/identity.ts';
import { Libp2pNode, type Libp2pNodeDependencies } from '../adapters/libp2p/libp2p-node.ts';
import type { Libp2pNodeOptions } from '../adapters/libp2p/node-options.ts';
import { createLogger } from '../adapters/logging/logger.ts';
import { MemoryBroker, MemoryConsumer, MemoryProducer } from '../adapters/memory/broker.ts';
import { PrometheusMetrics } from '../adapters/metrics/prometheus.ts';
import { openDataFolder } from '../adapters/sql/data-folder.ts';
import { createAdminApi } from '../admin/admin-api.ts';
import { BanService } from '../bans/service.ts';
import { ChainTracker } from '../chain/tracker.ts';
import type { BlockAnnouncement, SubtreeAnnouncement } from '../domain/announcement.ts';
import { buildVersion } from '../lib/version.ts';
import type { AdminApi, SettingView } from '../ports/admin-api.ts';
import type { BlockchainClient } from '../ports/blockchain-client.ts';
import { type Clock, systemClock } from '../ports/clock.ts';
import type { Consumer } from '../ports/consumer.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Producer } from '../ports/producer.ts';
import { parseKafkaUrl } from '../settings/kafka-url.ts';
import type { LoadedSettings, Settings } from '../settings/load.ts';
import type { Decoded } from '../wire/fault.ts';
import { hashHeader } from '../wire/header.ts';
import { NETWORKS } from '../wire/networks.ts';
import { banOptions, banStore } from './ban-options.ts';
import { reportOf } from './health/health.ts';
import { memberOptions } from './member-options.ts';
import { NetworkMember } from './network-member.ts';
import { nodeOptions } from './node-options.ts';
import { type Endpoint, Server, type ServerReady } from './server.ts';
import { blockchainClient, patiently, validationClients, type Waiting } from './service-clients.ts';

export interface AppOptions {
  /** Of the lines on stdout, unless there is a logger of one's own. Default `json`. */
  readonly logFormat?: 'json' | 'pretty';
  readonly log?: Logger;
  /** Settings as they are shown to who asks over HTTP; default none. */
  readonly effective?: LoadedSettings['effective'];
  /** Gives up waiting for the blockchain service. */
  readonly signal?: AbortSignal;
  /**
   * Makes a node of one's own from what ours is made of; `() => node` for one that needs none of it. The server starts and stops it. What ours does
   * with these is its business then: `policy` says who is banned (the pipeline drops what the banned write in any case), `privateKey` is the
   * identity that is kept, `mayPublish` is all there is of `listen_only`. Metrics that ours names are missing unless it names them.
   */
  readonly node?: (deps: Required<Libp2pNodeDependencies>, options: Libp2pNodeOptions) => P2PNode;
  /**
   * Instead of the embedded chain and of `blockchain_grpcAddress`. Started by `compose`, stopped by `App.stop` or when `compose` fails. Its
   * state store keeps the node's key, unless `p2p_private_key` is set.
   */
  readonly blockchain?: BlockchainClient;
  /** Instead of what `kafka_blocksConfig` names. Started and stopped by the server. */
  readonly blockProducer?: Producer<BlockAnnouncement>;
  /** Instead of what `kafka_subtreesConfig` names. Started and stopped by the server. */
  readonly subtreeProducer?: Producer<SubtreeAnnouncement>;
}

/** A composed server with all it stands on. */
export interface App {
  readonly log: Logger;
  readonly server: Server;
  /** The embedded chain, the client of the blockchain service, or what was brought. */
  readonly blockchain: BlockchainClient;
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
  const signal = options.signal ?? new AbortController().signal;
  const metrics = new PrometheusMetrics();
  const deps = { log, metrics, clock: systemClock };
  const blockchain = options.blockchain ?? blockchainClient(settings, dataFolder.path, deps);
  try {
    await blockchain.start(signal);
    const keyFileFolders = [settings.p2p_peer_cache_dir || dataFolder.path, process.cwd()];
    const identityOptions = { privateKey: settings.p2p_private_key, keyFileFolders };
    const identity = await patiently(
      () => loadIdentity({ blockchain, log }, identityOptions),
      { log, waiting: waitingProbes(settings, log, metrics) },
      signal,
    );
    const memoryBroker = new MemoryBroker({ metrics }, queueBounds(settings));
    const bans = new BanService({ ...deps, store: banStore(settings, dataFolder.path, log) }, banOptions(settings));
    const node = (options.node ?? libp2pNode)(
      { ...deps, random: Math.random, policy: bans },
      nodeOptions(settings, { privateKey: identity, version: buildVersion().version, dataFolder: dataFolder.path }),
    );
    const brokers = { ...deps, memoryBroker };
    const services = validationClients(settings, deps);
    const common = {
      ...deps,
      node,
      bans,
      blockchain,
      chain: new ChainTracker({ ...deps, blockchain }),
      ...services,
      blockProducer:
        options.blockProducer ?? producerFor(settings.kafka_blocksConfig, encodeKafkaBlock, settings, brokers),
      subtreeProducer:
        options.subtreeProducer ?? producerFor(settings.kafka_subtreesConfig, encodeKafkaSubtree, settings, brokers),
    };
    const member = new NetworkMember(
      { ...common, prober: dataHubProber(settings), random: Math.random },
      memberOptions(settings, buildVersion()),
    );
    const admin = createAdminApi({
      bans,
      node,
      chain: common.chain,
      registry: member.registry,
      sync: member.sync,
      recent: member.recent,
      syncRow: (peer) => member.syncRow(peer),
      topicNames: () => member.topicNames(),
      isWhitelisted: banOptions(settings).isWhitelisted,
      settings: shownSettings(options),
    });
    const adminKey = await loadAdminKey({ configured: settings.grpc_admin_api_key, dataFolder: dataFolder.path, log });
    const server = new Server(
      {
        ...common,
        member,
        reports: {
          invalidBlocks: consumerFor(settings.kafka_invalidBlocksConfig, decodeKafkaInvalidBlock, settings, brokers),
          invalidSubtrees: consumerFor(
            settings.kafka_invalidSubtreesConfig,
            decodeKafkaInvalidSubtree,
            settings,
            brokers,
          ),
          rejectedTxs: consumerFor(settings.kafka_rejectedTxConfig, decodeKafkaRejectedTx, settings, brokers),
        },
        grpc: grpcServer(settings, admin, adminKey, deps),
        endpoints: (self) => httpEndpoints(settings, { server: self, member, admin, adminKey, node, ...deps, metrics }),
      },
      serverOptions(settings),
    );
    const release = () => {
      services.blockValidation?.close();
      services.blockAssembly?.close();
      dataFolder.release();
    };
    return app({ server, blockchain, metrics, memoryBroker, log, release });
  } catch (error) {
    await blockchain.stop();
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
      await parts.blockchain.stop();
      release();
    },
  };
}

function libp2pNode(deps: Libp2pNodeDependencies, options: Libp2pNodeOptions): P2PNode {
  return new Libp2pNode(deps, options);
}

function queueBounds(settings: Settings) {
  return { maxMessages: settings.kafka_queue_max_messages, maxBytes: settings.kafka_queue_max_bytes };
}

function producerFor<T>(
  text: string,
  encode: (value: T) => Uint8Array,
  settings: Settings,
  deps: { log: Logger; metrics: PrometheusMetrics; memoryBroker: MemoryBroker },
): Producer<T> {
  const url = parseKafkaUrl(text);
  if (url.scheme === 'memory')
    return new MemoryProducer({ broker: deps.memoryBroker, metrics: deps.metrics }, { topic: url.topic, encode });
  return new KafkaProducer(deps, { ...kafkaConnection(url, settings), ...queueBounds(settings), encode });
}

function consumerFor<T>(
  text: string,
  decode: (bytes: Uint8Array) => Decoded<T>,
  settings: Settings,
  deps: { log: Logger; metrics: PrometheusMetrics; memoryBroker: MemoryBroker },
): Consumer<T> {
  const url = parseKafkaUrl(text);
  const groupId = `p2p.${settings.clientName}`;
  if (url.scheme === 'memory')
    return new MemoryConsumer(
      { ...deps, broker: deps.memoryBroker },
      { topic: url.topic, groupId, replay: url.replay, decode },
    );
  return new KafkaConsumer(deps, { ...kafkaConnection(url, settings), groupId, decode });
}

function grpcServer(
  settings: Settings,
  admin: AdminApi,
  adminKey: string,
  deps: { log: Logger; metrics: Metrics },
): GrpcServer {
  const { server_certFile: certFile, server_keyFile: keyFile, server_caFile: caFile } = settings;
  return new GrpcServer(
    { admin, log: deps.log, metrics: deps.metrics },
    {
      listenAddress: settings.p2p_grpc_listen_address,
      adminKey,
      tls: { level: settings.security_level_grpc, certFile, keyFile, caFile },
    },
  );
}

function dataHubProber(settings: Settings): HttpDataHubProber {
  return new HttpDataHubProber(
    {},
    {
      genesisHash: hashHeader(NETWORKS[settings.network].genesisHeader),
      allowsPrivate: settings.p2p_allow_private_datahubs,
      userAgent: `teranode/bitcoin/${buildVersion().version}`,
    },
  );
}

function shownSettings({ effective = [] }: AppOptions): SettingView[] {
  return effective.map(({ key, shown, origin }) => ({ key, value: shown, origin }));
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

interface HttpParts {
  readonly server: Server;
  readonly member: NetworkMember;
  readonly admin: AdminApi;
  readonly adminKey: string;
  readonly node: P2PNode;
  readonly log: Logger;
  readonly metrics: PrometheusMetrics;
  readonly clock: Clock;
}

function httpEndpoints(settings: Settings, parts: HttpParts): Endpoint[] {
  const { server, member, admin, adminKey, node, log, metrics, clock } = parts;
  const sources = {
    health: (checkLiveness: boolean) => server.health(checkLiveness),
    scrape: () => metrics.scrape(),
  };
  const webSocket = {
    notifications: member.notifications,
    ownStatus: () => member.ownStatus(),
    identity: () => ({ baseUrl: server.baseUrl(), peerId: node.hostId() }),
  };
  const main = new HttpServer(
    { log, metrics, clock, sources, api: { admin, adminKey, version: buildVersion().version }, webSocket },
    {
      ...mainHttp(settings),
      webSocketOrigins: settings.p2p_ws_origins,
      webSocket: {
        maxClients: settings.p2p_ws_max_clients,
        maxPerAddress: settings.p2p_ws_max_clients_per_address ?? Math.ceil(settings.p2p_ws_max_clients / 2),
        bufferFrames: settings.p2p_ws_buffer_frames,
      },
    },
  );
  return [main, ...probeHttp(settings).map((options) => new HttpServer({ log, sources }, options))];
}

function mainHttp(settings: Settings): HttpServerOptions {
  return {
    listenAddress: settings.p2p_http_listen_address,
    tls: httpTls(settings),
    routes: 'full',
    corsOrigins: settings.p2p_http_cors_origins,
    ratePerSecond: settings.p2p_http_rate,
    publicReads: settings.p2p_http_public_reads,
    publicMetrics: settings.p2p_http_public_metrics,
  };
}

/** None, or one. */
function probeHttp({ health_check_httpListenAddress: address, p2p_http_cors_origins }: Settings): HttpServerOptions[] {
  if (address === undefined) return [];
  return [{ listenAddress: address, tls: undefined, routes: 'probes', corsOrigins: p2p_http_cors_origins }];
}

/** While the blockchain service is awaited, which holds our key, probes are answered: this process lives, and is not ready. */
function waitingProbes(settings: Settings, log: Logger, metrics: PrometheusMetrics): Waiting {
  const details = 'waiting for the service, which holds our key';
  const notReady = () => reportOf([{ name: 'blockchain', ok: false, details, tookMs: 0, atMs: systemClock.now() }]);
  const sources = {
    health: async (isLiveness: boolean) => (isLiveness ? { status: 200, message: 'OK', checks: [] } : notReady()),
    scrape: () => metrics.scrape(),
  };
  const endpoints = [mainHttp(settings), ...probeHttp(settings)].map(
    (endpoint) => new HttpServer({ log, sources }, endpoint),
  );
  return {
    begin: async () => {
      for (const endpoint of endpoints) await endpoint.start();
    },
    end: async () => {
      await Promise.all(endpoints.map((endpoint) => endpoint.stop()));
    },
  };
}

function httpTls({ securityLevelHTTP, server_certFile: certFile, server_keyFile: keyFile }: Settings) {
  return securityLevelHTTP === 1 && certFile && keyFile ? { certFile, keyFile } : undefined;
}

function serverOptions(settings: Settings) {
  return {
    assetHttpPublicAddress: settings.asset_httpPublicAddress,
    assetHttpAddress: settings.asset_httpAddress,
    httpAddress: settings.p2p_http_address,
    servesHttps: settings.securityLevelHTTP === 1,
  };
}
