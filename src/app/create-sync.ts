// The sync manager from the settings. It triggers through Kafka's blocks topic. With message-bus in force it chooses by
// validated work and records what happens in the histories of peers, else by claims, and penalizes failed catch-ups.
import type { BanService } from '../bans/service.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { BlockAnnouncement } from '../domain/announcement.ts';
import type { PeerId } from '../domain/ids.ts';
import { dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import type { Producer } from '../ports/producer.ts';
import type { Traces } from '../ports/traces.ts';
import type { Settings } from '../settings/load.ts';
import { speaks } from '../settings/wire.ts';
import type { WorkPeerRow } from '../sync/choose-by-work.ts';
import { ClaimsPolicy } from '../sync/claims-policy.ts';
import { SyncManager } from '../sync/sync-manager.ts';
import type { SyncPolicy } from '../sync/sync-policy.ts';
import { WorkPolicy } from '../sync/work-policy.ts';
import type { Core } from './core.ts';
import type { Peers } from './create-peers.ts';
import { dataHubUrlRules } from './gossip-options.ts';

export interface SyncDependencies extends Core {
  readonly chain: ChainTracker;
  readonly peers: Peers;
  readonly bans: BanService;
  readonly blockProducer: Producer<BlockAnnouncement>;
  readonly traces: Traces | undefined;
}

export function createSync(settings: Settings, deps: SyncDependencies): SyncManager {
  const { blockProducer, peers, traces } = deps;
  const { registry } = peers;
  const isByWork = speaks(settings, 'message-bus');
  const sync = new SyncManager(
    {
      ...deps,
      policy: isByWork ? workPolicy(settings, deps) : claimsPolicy(settings, deps),
      connectedCount: () => registry.connectedList().length,
      publishBlock: fetchRequests(blockProducer, traces),
    },
    {
      // Nodes of message-bus wait for no peers, because a choice by validated work does not depend on their number.
      minPeers: isByWork ? 0 : settings.p2p_min_peers_for_sync,
      maxWaitMs: settings.p2p_max_wait_for_min_peers,
      hasForcedPeer: settings.p2p_force_sync_peer !== undefined,
      hasBootstrap: settings.p2p_bootstrap_addresses.length > 0,
    },
  );
  registry.onDisconnected((peerId) => sync.peerLeft(peerId));
  return sync;
}

/** Has block validation fetch a block from the sync peer. */
export function fetchRequests(
  blockProducer: Pick<Producer<BlockAnnouncement>, 'publish'>,
  traces: Traces | undefined,
): (announcement: BlockAnnouncement) => void {
  return (announcement) => {
    const { hash, peerId, url } = announcement;
    blockProducer.publish(announcement);
    const attributes = { sync_peer: peerId, datahub_url: url };
    traces?.record({ kind: 'block', hash, name: 'request sync fetch', attributes });
  };
}

function claimsPolicy(settings: Settings, deps: SyncDependencies): SyncPolicy {
  const { bans } = deps;
  const { registry, syncRow } = deps.peers;
  return new ClaimsPolicy(
    {
      ...deps,
      candidates: () => registry.connectedList().map(syncRow),
      penalizeFailure: (peerId: PeerId) => {
        const facts = { topic: '', hash: undefined };
        bans.addScore(peerId, 'catch_up_failure', { role: 'author', rule: 'peer_failure', ...facts });
        bans.noteAtHost(registry.get(peerId)?.dataHubUrl ?? '', 'catch_up_failure', facts);
      },
    },
    { forcedPeer: forcedPeer(settings) },
  );
}

function workPolicy(settings: Settings, deps: SyncDependencies): SyncPolicy {
  const { registry, syncRow, histories, dataHubs } = deps.peers;
  const urlFault = dataHubUrlCheck(dataHubUrlRules(settings));
  const candidates = (): readonly WorkPeerRow[] =>
    registry.list().map((peer) => {
      const { storage, dataHubUrl } = peer;
      const usableUrl = dataHubUrl !== undefined && urlFault(dataHubUrl) === undefined ? dataHubUrl : undefined;
      return { ...syncRow(peer), dataHubUrl: usableUrl, storage, history: histories.historyOf(peer.id) };
    });
  const policy = new WorkPolicy(
    { ...deps, candidates, histories },
    {
      forcedPeer: forcedPeer(settings),
      allowsPruned: settings.p2p_allow_pruned_node_fallback,
      maxProbes: settings.p2p_max_unproven_sync_probes_per_backoff_window,
      evaluationMs: settings.p2p_sync_coordinator_periodic_evaluation_interval,
      noProgressMs: settings.p2p_sync_peer_no_progress_timeout,
      deliveryFreshMs: settings.p2p_full_delivery_freshness_window,
    },
  );
  dataHubs.watch(() => policy.urlsToCheck());
  return policy;
}

function forcedPeer(settings: Settings): PeerId | undefined {
  return settings.p2p_force_sync_peer as PeerId | undefined;
}
