// Settings in, server out. Read it from top to bottom: what is opened first, then one `create…(settings, deps)` per
// room, then the list of parts in the order of their start, with the time that each has to stop. To follow a setting,
// open the `create-….ts` of its room.
import { loadAdminKey } from '../adapters/grpc/admin-key.ts';
import { loadIdentity } from '../adapters/libp2p/identity.ts';
import { AdminKeys } from '../adapters/listeners/admin-keys.ts';
import { createLogger } from '../adapters/logging/logger.ts';
import type { MemoryBroker } from '../adapters/memory/broker.ts';
import { PrometheusMetrics } from '../adapters/metrics/prometheus.ts';
import { openDataFolder, warnOfEmptyCopies, warnOfOpenFolder } from '../adapters/sql/data-folder.ts';
import { createAdminApi } from '../admin/admin-api.ts';
import { createPublisher } from '../announce/publisher.ts';
import { ChainTracker } from '../chain/tracker.ts';
import type { BlockAnnouncement, SubtreeAnnouncement } from '../domain/announcement.ts';
import type { BlockHash } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import { buildVersion } from '../lib/version.ts';
import { dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import { checkOwnDataHub } from '../peers/datahub/own-datahub.ts';
import { FirstDeliveries } from '../peers/first-deliveries.ts';
import { Propagation } from '../peers/propagation.ts';
import type { BlockchainClient } from '../ports/blockchain-client.ts';
import { systemClock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import { nodesOf, topicNamesOf } from '../ports/network.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Producer } from '../ports/producer.ts';
import type { LoadedSettings, Settings } from '../settings/load.ts';
import { speaks, wireChoice } from '../settings/wire.ts';
import { NotificationHub } from '../watch/notification-hub.ts';
import { PeerClocks } from '../watch/peer-clocks.ts';
import { createAnnouncers, createBusUrls } from './create-announcers.ts';
import { createBans, whitelist } from './create-bans.ts';
import { capturedCleanUp, capturedGossip, capturedReports, createCapture } from './create-capture.ts';
import { createFollower, createOwnDataHub } from './create-datahub.ts';
import { createEndpoints } from './create-endpoints.ts';
import { createHistory, createWatchers } from './create-feeds.ts';
import { createGossip } from './create-gossip.ts';
import { createGrpc } from './create-grpc.ts';
import { createHandshake } from './create-handshake.ts';
import { createHttp, createWaitingHttp, ownHttpUrl } from './create-http.ts';
import { createMemoryBroker, createProducers, createReportConsumers } from './create-kafka.ts';
import { createNetworks, type OwnNetworks } from './create-networks.ts';
import { createPeerKeeper, createRegistration } from './create-peer-registry.ts';
import { createDataHubProber, createPeers } from './create-peers.ts';
import { createReports } from './create-reports.ts';
import { createBlockchain, createValidationClients, patiently } from './create-services.ts';
import { createSync } from './create-sync.ts';
import { createTraces } from './create-traces.ts';
import { dataHubUrlRules } from './gossip-options.ts';
import { Health } from './health/health.ts';
import { Liveness } from './health/liveness.ts';
import { bansWithKeeper, gossipWithWatch } from './joined-parts.ts';
import { INSTANT_MS, Lifecycle, type Part, part, stopInReverse } from './lifecycle.ts';
import { logNotices, logUnfollowedChain } from './log-notices.ts';
import { Nodes } from './nodes.ts';
import { Server, type ServerReady } from './server.ts';
import { createSilentFeed } from './silent-feed.ts';
import { summedMetrics } from './summed-metrics.ts';

export interface AppOptions extends OwnNetworks {
  /** Of the lines on stdout, unless `log` is given. Default `json`. */
  readonly logFormat?: 'json' | 'pretty';
  readonly log?: Logger;
  /** Settings as HTTP shows them; default none. */
  readonly effective?: LoadedSettings['effective'];
  /** What to log about settings that change nothing; default none. */
  readonly notices?: LoadedSettings['notices'];
  /** Gives up waiting for the blockchain service. */
  readonly signal?: AbortSignal;
  /**
   * Replaces the embedded chain and `blockchain_grpcAddress`. Started by `compose`, stopped by `App.stop` or when
   * `compose` fails. Its state store keeps the node's key, unless `p2p_private_key` is set.
   */
  readonly blockchain?: BlockchainClient;
  /** Replaces the producer of `kafka_blocksConfig`. Started and stopped by the server. */
  readonly blockProducer?: Producer<BlockAnnouncement>;
  /** Replaces the producer of `kafka_subtreesConfig`. Started and stopped by the server. */
  readonly subtreeProducer?: Producer<SubtreeAnnouncement>;
}

/** A composed server with all it stands on. */
export interface App {
  readonly log: Logger;
  readonly server: Server;
  /** The embedded chain, the client of the blockchain service, or the caller's own. */
  readonly blockchain: BlockchainClient;
  readonly metrics: Metrics;
  /** The in-process broker behind `memory://` URLs. */
  readonly memoryBroker: MemoryBroker;
  /** `stop` takes no longer. */
  readonly stopBudgetMs: number;
  start(signal: AbortSignal): Promise<ServerReady>;
  /** May be called twice. */
  stop(): Promise<void>;
}

/** Within the budgets of their parts below. */
const FLUSH_DEADLINE_MS = 1500;
const REPORTS_DEADLINE_MS = 350;
const FOLLOWER_MS = 30;

/**
 * Opens what must be open before anything starts (data folder, chain, identity) and wires the rest. Throws P2PError.
 */
export async function compose(settings: Settings, options: AppOptions = {}): Promise<App> {
  const metrics = new PrometheusMetrics();
  const dropped = metrics.counter(
    'teranode_p2p_log_lines_dropped_total',
    'Log lines dropped because standard output could not be written',
  );
  const format = options.logFormat ?? 'json';
  const log = options.log ?? (await createLogger({ level: settings.logLevel, format, dropped }));
  // Before anything is waited for, so that an operator sees it while the blockchain service is down.
  const wire = wireChoice(settings);
  log.info({ wires: wire.names, reason: wire.reason }, 'wire chosen');
  logNotices(log, options.notices);
  logUnfollowedChain(log, settings, options.blockchain !== undefined || options.blockProducer !== undefined);
  const opened: Part[] = [];
  try {
    const foundation = await openFoundation(settings, options, { log, metrics }, opened);
    return await createApp(settings, options, foundation, opened);
  } catch (error) {
    await stopInReverse(opened, log);
    throw error;
  }
}

type Foundation = Awaited<ReturnType<typeof openFoundation>>;

/** `opened` grows as it goes, so that a failure in between closes what is open. */
async function openFoundation(
  settings: Settings,
  options: AppOptions,
  { log, metrics }: { readonly log: Logger; readonly metrics: PrometheusMetrics },
  opened: Part[],
) {
  const capture = createCapture(settings, { log, metrics });
  const recorder = capture?.recorder;
  const core = { log, metrics, clock: recorder?.clock ?? systemClock, random: Math.random };
  const signal = options.signal ?? new AbortController().signal;

  const folder = openDataFolder(settings.dataFolder);
  opened.push(part('data folder', { stop: () => folder.release() }, INSTANT_MS));
  const dataFolder = folder.path;
  const cacheFolder = settings.p2p_peer_cache_dir || dataFolder;
  for (const each of new Set([dataFolder, cacheFolder])) warnOfOpenFolder(each, log);
  warnOfEmptyCopies(folder, log);

  const blockchain = options.blockchain ?? createBlockchain(settings, { ...core, dataFolder });
  // Nothing comes in any more, so the capture is whole.
  opened.push(part('blockchain', { stop: () => Promise.all([blockchain.stop(), capture?.stop()]) }, 150));
  await blockchain.start(signal);

  const waiting = createWaitingHttp(settings, core);
  const keyFileFolders = [...new Set([cacheFolder, dataFolder, process.cwd()])];
  const identity = {
    privateKey: settings.p2p_private_key,
    keyFileFolders,
    ...(speaks(settings, 'message-bus') ? { busKeyFolders: [cacheFolder, dataFolder] as const } : {}),
  };
  const privateKey = await patiently(() => loadIdentity({ blockchain, log }, identity), { log, waiting }, signal);

  const services = createValidationClients(settings, core);
  const close = () => {
    services.blockValidation?.close();
    services.blockAssembly?.close();
  };
  opened.push(part('validation clients', { stop: close }, INSTANT_MS));

  const adminKey = await loadAdminKey({ configured: settings.grpc_admin_api_key, dataFolder, log });
  const memoryBroker = createMemoryBroker(settings, core);
  return { core: { ...core, memoryBroker, recorder }, capture, dataFolder, blockchain, privateKey, services, adminKey };
}

async function createApp(
  settings: Settings,
  options: AppOptions,
  foundation: Foundation,
  opened: readonly Part[],
): Promise<App> {
  const { core, blockchain } = foundation;
  const { log, metrics, memoryBroker } = core;
  const rooms = await createRooms(settings, options, foundation);
  const surface = createSurface(settings, options, foundation, rooms);
  const parts = partsOf(rooms, surface, foundation);
  const { health, http, grpc, own } = surface;
  const running = () => ({
    ...own(),
    listenAddresses: rooms.nodes.listenAddresses(),
    httpAddress: http.address(),
    grpcAddress: grpc.address(),
  });
  const server = new Server(
    { log, lifecycle: new Lifecycle(core, parts), health, running },
    { httpAddress: settings.p2p_http_address, httpUrl: ownHttpUrl(settings), dataHubUrl: () => rooms.dataHub.url() },
  );
  let closing: Promise<void> | undefined;
  return {
    log,
    server,
    blockchain,
    metrics,
    memoryBroker,
    stopBudgetMs: [...opened, ...parts].reduce((sum, { budgetMs }) => sum + budgetMs, 0),
    start: async (signal) => {
      await server.init();
      return await server.start(signal);
    },
    stop: async () => {
      await server.stop();
      closing ??= stopInReverse(opened, log);
      await closing;
    },
  };
}

type Rooms = Awaited<ReturnType<typeof createRooms>>;

/** Everything between the network and the node's other services. */
async function createRooms(settings: Settings, options: AppOptions, foundation: Foundation) {
  const { core, capture, blockchain, dataFolder, privateKey, services } = foundation;
  const dataHub = createOwnDataHub(settings, blockchain);
  const dataHubUrl = () => dataHub.url();

  // Bans are made before the nodes, which ask them whom to refuse.
  const nodes = new Nodes();
  const usesPeerRegistry = speaks(settings, 'message-bus') && options.blockchain === undefined;
  const keeper = createPeerKeeper(settings, core, { usesPeerRegistry });
  const bans = await createBans(settings, { ...core, dataFolder, nodes, authority: keeper.authority });
  const propagation = new Propagation(core);
  const deliveries = new FirstDeliveries({ ...core, propagation, isPenalized: (peerId) => bans.scoreOf(peerId) > 0 });
  const nodeDeps = { ...core, metrics: summedMetrics(core.metrics), policy: bans, deliveries };
  const facts = { privateKey, version: buildVersion().version, dataFolder };
  const networks = createNetworks(settings, nodeDeps, facts, options);
  for (const node of nodesOf(networks)) nodes.add(node);
  const ownId = networks[0].node.hostId();

  const traces = await createTraces(settings, { ...core, ownId });
  const notifications = new NotificationHub(core);
  const notify = (notification: Notification) => notifications.publish(notification);
  const { events, recent, messages } = createWatchers(settings, { ...core, notifications });
  const peerClocks = new PeerClocks(core.clock);
  notifications.subscribe((each) => {
    if (each.type === 'node_status' && !each.isOwn) peerClocks.heard(each);
  });
  const silentFeed = createSilentFeed(settings, { ...core, nodes, networks });
  const onHeader = capture && ((hash: BlockHash, height: number) => capture.recorder.headerKept(hash, height));
  const chain = new ChainTracker({ ...core, blockchain, onHeader });
  chain.onTip((event) => notify({ ...event, atMs: core.clock.now(), isOwn: true }));
  const prober = createDataHubProber(settings);
  const peers = createPeers(settings, { ...core, nodes, bans, chain, prober, dataFolder, keeper, deliveries });
  const { registry } = peers;
  const endpoints = createEndpoints(settings, { ...core, registry, dataHubs: peers.dataHubs });
  const registration = createRegistration(settings, { ...core, registry, nodes }, keeper);

  const { blockProducer, subtreeProducer } = options;
  const producers = await createProducers(settings, core, { blocks: blockProducer, subtrees: subtreeProducer });
  const own = { networks, nodes, ownId, dataHubUrl, chain, bans, peers, registry };
  const shared = { ...core, ...own, notify, deliveries, traces };
  const history = await createHistory(settings, { ...shared, notifications, messages, dataFolder });
  const sync = createSync(settings, { ...shared, blockProducer: producers.blocks });
  const handshake = createHandshake(settings, { ...shared, sync });
  const busUrls = createBusUrls(settings, dataHubUrl, core.log);
  const publisher = createPublisher(networks, { clientName: settings.clientName, urls: busUrls });
  const announcers = createAnnouncers(settings, { ...shared, ...services, blockchain, sync, publisher, busUrls });
  const heard = { recent, messages, silentFeed };
  const sources = { ...shared, ...heard, sync, handshake, announcers, producers };
  const gossip = capturedCleanUp(capture, createGossip(settings, capturedGossip(capture, sources)));
  const consumers = await createReportConsumers(settings, core);
  const reports = createReports(settings, { ...shared, gossip, ...capturedReports(capture, { consumers, publisher }) });
  await capture?.begin({ ...shared, sync, keeper });
  const hasOwnProducer = blockProducer !== undefined;
  const follower = createFollower(settings, { ...core, blockchain, peers, hasOwnProducer });

  return {
    ...{ nodes, networks, ownId, dataHub, bans, notifications, events, recent, messages, history },
    ...{ peerClocks, silentFeed, chain, prober, peers, producers, deliveries, propagation, traces },
    ...{ sync, handshake, announcers, gossip, consumers, reports, keeper, registration, follower },
    endpoints,
    /** The DataHub URL that peers get; empty when none does. */
    announcedUrl: () => (speaks(settings, 'go-p2p') ? dataHubUrl() : busUrls.dataHubUrl),
  };
}

type Surface = ReturnType<typeof createSurface>;

/** How operators and their programs see and steer this node. */
function createSurface(settings: Settings, options: AppOptions, foundation: Foundation, rooms: Rooms) {
  const { core, blockchain, services, adminKey, dataFolder } = foundation;
  const { nodes, networks, ownId, dataHub, chain, peers, producers, consumers, announcers, notifications } = rooms;
  const liveness = new Liveness({ ...core, pipelines: () => nodes.gossipProgress() });
  const { keeper } = rooms;
  const health = new Health({
    ...core,
    ...services,
    blockchain,
    chain,
    liveness,
    producers,
    reports: consumers,
    keeper,
    bans: rooms.bans,
    silentFeed: rooms.silentFeed,
    connectedPeers: () => nodes.currentlyConnectedPeers().length,
  });
  const own = () => ({
    peerId: ownId,
    version: buildVersion().version,
    networks: networks.map(({ wire, topicPrefix, node }) => ({
      wire: wire.name,
      topicPrefix,
      listenAddresses: node.listenAddresses(),
    })),
    httpUrl: ownHttpUrl(settings, http.address()),
  });
  const dataHubUrlFault = dataHubUrlCheck(dataHubUrlRules(settings));
  const admin = createAdminApi({
    ...core,
    ...rooms,
    ...peers,
    blockchain,
    own,
    readiness: () => health.check(false),
    isUsableUrl: (url) => dataHubUrlFault(url) === undefined,
    acceptsAnyReason: speaks(settings, 'message-bus'),
    node: nodes,
    connections: () => nodes.diagnosis(),
    feed: rooms.silentFeed,
    topicNames: () => networks.flatMap(({ topics }) => Object.values(topics)),
    isWhitelisted: whitelist(settings),
    settings: (options.effective ?? []).map(({ key, shown, origin }) => ({ key, value: shown, origin })),
  });
  const adminKeys = new AdminKeys(core, { adminKey });
  const grpc = createGrpc(settings, { ...core, admin, adminKeys, ownId, dataFolder, traces: rooms.traces });
  const webSocket = {
    notifications,
    ownStatus: () => announcers.ownStatus(),
    identity: () => ({ baseUrl: dataHub.url(), peerId: ownId }),
  };
  const http = createHttp(settings, {
    ...{ ...core, health, admin, adminKeys, webSocket },
    ...{ events: rooms.events, dataHub: dataHub.source },
  });
  dataHub.boundTo = () => http.address();
  return { health, grpc, http, own };
}

/**
 * The parts in the order of their start, each with its stop budget in ms; they stop in reverse. All budgets, with those
 * of what `compose` opened, add up to less than five seconds.
 */
function partsOf(rooms: Rooms, surface: Surface, { core, blockchain }: Foundation): readonly Part[] {
  const { nodes, networks, announcedUrl, chain, prober, peers, producers, sync, handshake } = rooms;
  const { reports, announcers, traces, follower, endpoints } = rooms;
  const { health, grpc, http } = surface;
  const topicsOf = (node: P2PNode) => topicNamesOf(node, networks);
  const greets = (node: P2PNode) =>
    networks.some(({ node: of, topics }) => of === node && topics.handshake !== undefined);
  const handlerOf = (node: P2PNode) => (greets(node) ? handshake?.streamHandler : undefined);
  return [
    part('liveness', health, INSTANT_MS),
    // From here on health checks are answered, so that the process can be watched while it waits.
    // Traces stop with it, almost last, so that spans of the stop are exported too; they take less.
    part('HTTP', { start: () => http.start(), stop: () => Promise.all([http.stop(), traces?.stop()]) }, 250),
    part('bans', bansWithKeeper(rooms), 500),
    part('peer histories', peers.histories, 70),
    part('gRPC', grpc, 300),
    part('wait for the FSM', { start: (signal) => blockchain.waitUntilFsmLeavesIdle(signal) }, INSTANT_MS),
    part('Kafka producers', { ...producers, stop: () => producers.stop(FLUSH_DEADLINE_MS) }, 1550),
    part('chain', chain, 50),
    part('own DataHub', { start: (signal) => checkOwnDataHub(prober, announcedUrl(), core.log, signal) }, INSTANT_MS),
    part('chain follower', { start: (signal) => follower?.start(signal), stop: () => follower?.stop(FOLLOWER_MS) }, 40),
    part('best block', { stop: () => announcers.bestBlock.stop() }, INSTANT_MS),
    part('pipeline', gossipWithWatch(rooms), INSTANT_MS),
    part('DataHub checks', peers.dataHubs, 150),
    part('registry', peers, INSTANT_MS),
    part('endpoint checks', endpoints, INSTANT_MS),
    part('nodes', { stop: () => nodes.stop(), start: (signal) => nodes.start(signal, handlerOf, topicsOf) }, 900),
    part('handshake', { start: () => handshake?.start(), stop: () => handshake?.stop() }, 250),
    part('sync', sync, INSTANT_MS),
    part('best block requests', announcers.bestBlockAsker, INSTANT_MS),
    part('node status', announcers.status, INSTANT_MS),
    part('announcer', announcers.announcer, 250),
    part('reports', { ...reports, stop: () => reports.stop(REPORTS_DEADLINE_MS) }, 400),
    part('readiness', { start: () => grpc.setServing(true), stop: () => grpc.setServing(false) }, INSTANT_MS),
  ];
}
