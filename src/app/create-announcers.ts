// What this node announces: blocks, subtrees and mining-on of its own blockchain, its status, and its best block when
// asked.
import { Announcer, type AnnouncerOptions } from '../announce/announcer.ts';
import { BestBlockAnnouncer } from '../announce/best-block.ts';
import { BestBlockAsker } from '../announce/best-block-asker.ts';
import { type BusStatusOptions, NodeStatusAnnouncer } from '../announce/node-status.ts';
import { type OwnUrls, ownUrls } from '../announce/own-urls.ts';
import type { Publisher } from '../announce/publisher.ts';
import { StorageMode } from '../announce/storage-mode.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { FeePolicy } from '../domain/node-status.ts';
import type { Notification } from '../domain/notification.ts';
import { P2PError } from '../lib/errors.ts';
import { buildVersion } from '../lib/version.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { BlockchainClient } from '../ports/blockchain-client.ts';
import type { Logger } from '../ports/log.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import type { Traces } from '../ports/traces.ts';
import type { BlockAssemblyClient } from '../ports/validation-services.ts';
import type { Settings } from '../settings/load.ts';
import { allowsPrivateDataHubs, speaks } from '../settings/wire.ts';
import type { Core } from './core.ts';
import { ownDataHubUrl } from './create-peers.ts';

export interface AnnouncerSources extends Core {
  readonly networks: readonly P2PNetwork[];
  readonly publisher: Publisher;
  readonly traces: Traces | undefined;
  readonly ownId: PeerId;
  /** Known once the HTTP listener has started. */
  readonly dataHubUrl: () => string;
  /** Our URLs on message-bus. */
  readonly busUrls: OwnUrls;
  readonly blockchain: Pick<BlockchainClient, 'getState'>;
  readonly chain: ChainTracker;
  readonly blockAssembly: BlockAssemblyClient | undefined;
  readonly registry: PeerRegistry;
  readonly sync: SyncStatus;
  readonly notify: (notification: Notification) => void;
}

export interface Announcers {
  readonly announcer: Announcer;
  readonly status: NodeStatusAnnouncer;
  readonly bestBlock: BestBlockAnnouncer;
  readonly bestBlockAsker: BestBlockAsker;
  /** Our status as subscribers hear it. Throws NODE_NOT_STARTED before it is announced. */
  ownStatus(): ReturnType<NodeStatusAnnouncer['currentNotification']>;
}

export function createAnnouncers(settings: Settings, deps: AnnouncerSources): Announcers {
  const bestBlock = new BestBlockAnnouncer(deps);
  const status = statusAnnouncer(settings, deps);
  return {
    announcer: new Announcer(deps, announcerOptions(settings, deps)),
    status,
    bestBlock,
    bestBlockAsker: bestBlockAsker(bestBlock, deps),
    ownStatus: async () => {
      if (!status.isStarted) throw new P2PError('NODE_NOT_STARTED', 'the node status is not known before the start');
      return await status.currentNotification();
    },
  };
}

function announcerOptions(settings: Settings, { dataHubUrl }: AnnouncerSources): AnnouncerOptions {
  return {
    get dataHubUrl() {
      return dataHubUrl();
    },
    ...(speaks(settings, 'message-bus') ? { clientName: settings.clientName } : {}),
  };
}

function statusAnnouncer(settings: Settings, deps: AnnouncerSources): NodeStatusAnnouncer {
  const { dataHubUrl, busUrls } = deps;
  const { version, commit } = buildVersion();
  return new NodeStatusAnnouncer(deps, {
    // Subscribers see the URL of the specification's wire where both are spoken.
    get baseUrl() {
      return speaks(settings, 'go-p2p') ? dataHubUrl() : busUrls.dataHubUrl;
    },
    version,
    commitHash: commit,
    clientName: settings.clientName,
    listenMode: settings.listen_mode,
    ...(speaks(settings, 'message-bus') ? { onBus: busStatus(settings, deps) } : {}),
  });
}

function busStatus(settings: Settings, deps: AnnouncerSources): BusStatusOptions {
  const storage = new StorageMode(deps, settings.global_blockHeightRetention);
  return {
    get propagationUrl() {
      return deps.busUrls.propagationUrl;
    },
    minMiningTxFee: settings.minminingtxfee,
    feePolicy: feePolicy(settings),
    connectedPeers: () => deps.registry.connectedList().length,
    storageAt: (bestHeight) => storage.at(bestHeight),
  };
}

const SATOSHIS_PER_BSV = 1e8;
const FEE_BYTES = 1000;

/** undefined unless one of the policy settings is set. */
function feePolicy(settings: Settings): FeePolicy | undefined {
  const { maxscriptsizepolicy: script, maxtxsizepolicy: tx, maxtxsigopscountspolicy: sigops } = settings;
  if (script === undefined && tx === undefined && sigops === undefined) return undefined;
  return {
    miningFee: { satoshis: Math.round(settings.minminingtxfee * SATOSHIS_PER_BSV), bytes: FEE_BYTES },
    maxScriptSize: BigInt(script ?? 0),
    maxTxSize: BigInt(tx ?? 0),
    maxTxSigops: BigInt(sigops ?? 0),
  };
}

/**
 * Our URLs on message-bus; read when the HTTP listener has started. Warns once of a DataHub URL that keeps a node in full
 * mode from announcing blocks there.
 */
export function createBusUrls(settings: Settings, dataHubUrl: () => string, log: Logger): OwnUrls {
  let made: OwnUrls | undefined;
  const urls = () => {
    made ??= checkedBusUrls(settings, dataHubUrl(), log);
    return made;
  };
  // One that is set is told of at once, not only when the blockchain service has answered.
  if (ownDataHubUrl(settings) !== '') urls();
  return {
    get dataHubUrl() {
      return urls().dataHubUrl;
    },
    get propagationUrl() {
      return urls().propagationUrl;
    },
  };
}

function checkedBusUrls(settings: Settings, dataHubUrl: string, log: Logger): OwnUrls {
  const isSpoken = speaks(settings, 'message-bus');
  const { urls, fault } = ownUrls({
    dataHubUrl,
    propagationUrl: settings.asset_propagationPublicURL ?? dataHubUrl,
    isFull: isSpoken && settings.listen_mode === 'full',
    allowsPrivate: allowsPrivateDataHubs(settings, 'message-bus'),
  });
  if (fault !== undefined)
    log.warn(
      { dataHubUrl, fault },
      'own DataHub URL cannot be used on message-bus, blocks and subtrees are not announced there: set asset_httpPublicAddress, or p2p_allow_private_ips in a private network',
    );
  return urls;
}

function bestBlockAsker(bestBlock: BestBlockAnnouncer, deps: AnnouncerSources): BestBlockAsker {
  const { networks, registry, chain, clock, log } = deps;
  const subscribersIn = ({ topics, node }: P2PNetwork) =>
    topics.best_block === undefined ? 0 : (node.getTopic(topics.best_block)?.subscribers().length ?? 0);
  return new BestBlockAsker({
    request: () => bestBlock.request(),
    subscribers: () => networks.reduce((sum, network) => sum + subscribersIn(network), 0),
    isHeightKnown: () => registry.connectedList().some(({ claimed }) => claimed !== undefined),
    isRunning: () => chain.fsmState() === 'RUNNING',
    clock,
    log,
  });
}
