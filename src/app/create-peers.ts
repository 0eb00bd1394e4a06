// What this node knows of its peers: the registry, the health of their DataHubs, the experiences with them, and how
// each stands for the choice of a sync peer. Also our own DataHub URL.
import { join } from 'node:path';
import { BEST_HEADER_CHECK, genesisBlockCheck, HttpDataHubProber } from '../adapters/datahub/datahub-prober.ts';
import type { BanService } from '../bans/service.ts';
import type { Recorder } from '../capture/recorder.ts';
import type { InputValue } from '../capture/tap.ts';
import { TappedHistories, TappedRegistry } from '../capture/tapped-peers.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import { P2PError } from '../lib/errors.ts';
import { buildVersion } from '../lib/version.ts';
import { DataHubHealth } from '../peers/datahub/datahub-health.ts';
import type { FirstDeliveries } from '../peers/first-deliveries.ts';
import { OwnHistories, type OwnHistoriesOptions } from '../peers/histories/own-histories.ts';
import { PeerRegistry, type RegisteredPeer } from '../peers/registry.ts';
import type { DataHubProber } from '../ports/datahub-prober.ts';
import type { PeerHistories } from '../ports/peer-histories.ts';
import type { Settings } from '../settings/load.ts';
import { speaks } from '../settings/wire.ts';
import type { SyncPeerRow } from '../sync/choose-sync-peer.ts';
import { syncPeerRow } from '../sync/sync-peer-row.ts';
import { hashHeader } from '../wire/header.ts';
import { NETWORKS } from '../wire/networks.ts';
import type { Core } from './core.ts';
import { keptHistories, type PeerKeeper } from './create-peer-registry.ts';
import { dataHubUrlRules } from './gossip-options.ts';
import type { Nodes } from './nodes.ts';

const PURGE_INTERVAL_MS = 60_000;
const HISTORIES_FILE = 'peer-histories.json';

export interface Peers {
  readonly registry: PeerRegistry;
  readonly dataHubs: DataHubHealth;
  readonly histories: PeerHistories;
  /** Registry and own histories while the node captures. */
  readonly tapped: { readonly registry: TappedRegistry; readonly histories: TappedHistories } | undefined;
  /** A registered peer as the choice of a sync peer sees it now. */
  readonly syncRow: (peer: RegisteredPeer) => SyncPeerRow;
  /** Starts to remove unconnected authors that were not heard for long. */
  start(): void;
  stop(): void;
}

export interface PeersDependencies extends Core {
  readonly nodes: Nodes;
  readonly bans: BanService;
  readonly chain: Pick<ChainTracker, 'heightOf'>;
  readonly prober: DataHubProber;
  readonly deliveries: FirstDeliveries;
  readonly dataFolder: string;
  readonly keeper: PeerKeeper;
  readonly recorder?: Recorder | undefined;
}

/** The registry is notified of connections first, so that later listeners find the peer in it. */
export function createPeers(settings: Settings, deps: PeersDependencies): Peers {
  const { nodes, bans, chain, deliveries } = deps;
  const { recorder } = deps;
  const tapped = recorder && { ...deps, tap: recorder };
  const registry = tapped === undefined ? new PeerRegistry(deps) : new TappedRegistry(tapped);
  const own = createHistories(settings, deps, registry);
  nodes.onConnected((peerId) => registry.connected(peerId));
  nodes.onDisconnected((peerId) => registry.disconnected(peerId));
  const dataHubs = new DataHubHealth(deps);
  dataHubs.watch(() => registry.connectedList().flatMap(({ dataHubUrl }) => dataHubUrl ?? []));
  const sources = {
    isBanned: bans.isBanned.bind(bans),
    scoreOf: bans.scoreOf.bind(bans),
    healthOf: dataHubs.state.bind(dataHubs),
    ownHeightOf: chain.heightOf.bind(chain),
    deliveryShareOf: (peerId: PeerId) => (settings.p2p_prefer_first_deliverers ? deliveries.preferenceOf(peerId) : 0),
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    registry,
    dataHubs,
    histories: keptHistories(settings, deps, deps.keeper, own),
    tapped:
      registry instanceof TappedRegistry && own instanceof TappedHistories ? { registry, histories: own } : undefined,
    syncRow: (peer) => syncPeerRow(peer, sources),
    start: () => {
      timer ??= setInterval(() => registry.purge(), PURGE_INTERVAL_MS).unref();
    },
    stop: () => clearInterval(timer),
  };
}

function createHistories(settings: Settings, deps: PeersDependencies, registry: PeerRegistry): OwnHistories {
  const { bans, dataFolder, recorder } = deps;
  const kept = { ...deps, isKept: keptPeers(registry, bans) };
  const options = historyOptions(settings, join(dataFolder, HISTORIES_FILE));
  if (recorder === undefined) return new OwnHistories(kept, options);
  const onLoaded = (values: readonly InputValue[]) => {
    for (const value of values) recorder.state('histories', value);
  };
  return new TappedHistories({ ...kept, tap: recorder, onLoaded }, options);
}

/** Whose histories stay as long as others can go. */
export function keptPeers(registry: Pick<PeerRegistry, 'get'>, bans: Pick<BanService, 'isBanned'>) {
  return (peerId: PeerId) => registry.get(peerId)?.isConnected === true || bans.isBanned(peerId);
}

export function historyOptions(settings: Settings, file: string): OwnHistoriesOptions {
  return {
    file,
    maxPeers: settings.p2p_peer_registry_max_size,
    ttlMs: settings.p2p_peer_registry_ttl,
    cleanupIntervalMs: settings.p2p_peer_registry_cleanup_interval,
    fullStoragePenaltyMs: settings.p2p_full_storage_penalty_duration,
  };
}

export function createDataHubProber(settings: Settings): DataHubProber {
  const genesisHash = hashHeader(NETWORKS[settings.network].genesisHeader);
  return new HttpDataHubProber(
    {},
    {
      check: speaks(settings, 'message-bus') ? BEST_HEADER_CHECK : genesisBlockCheck(genesisHash),
      allowsPrivate: dataHubUrlRules(settings).allowsPrivate,
      userAgent: `teranode/bitcoin/${buildVersion().version}`,
    },
  );
}

/** Where the asset service of a Teranode on this machine listens. */
const ASSET_SERVICE = 'http://localhost:8090/api/v1';

/**
 * The DataHub URL that peers get, as far as the settings say: `asset_httpPublicAddress`, else `asset_httpAddress`, else
 * with a blockchain service that of an asset service beside it; empty for one of our own. Throws ADDRESS_INVALID.
 */
export function ownDataHubUrl(settings: Settings): string {
  const beside = settings.blockchain_grpcAddress === undefined ? '' : ASSET_SERVICE;
  const chosen = settings.asset_httpPublicAddress ?? settings.asset_httpAddress ?? beside;
  if (chosen === '') return '';
  const url = URL.canParse(chosen) ? new URL(chosen) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new P2PError('ADDRESS_INVALID', 'asset_httpPublicAddress or asset_httpAddress must be an http or https URL', {
      details: { value: chosen },
    });
  }
  return chosen.replace(/\/+$/, '');
}
