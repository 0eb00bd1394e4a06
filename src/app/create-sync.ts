// The sync manager from the settings: it chooses from the registry, triggers through Kafka's blocks topic, and
// penalizes failed catch-ups.
import type { BanService } from '../bans/service.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { BlockAnnouncement } from '../domain/announcement.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Producer } from '../ports/producer.ts';
import type { Settings } from '../settings/load.ts';
import { ClaimsPolicy } from '../sync/claims-policy.ts';
import { SyncManager } from '../sync/sync-manager.ts';
import type { Core } from './core.ts';
import type { Peers } from './create-peers.ts';

export interface SyncDependencies extends Core {
  readonly chain: ChainTracker;
  readonly peers: Peers;
  readonly bans: BanService;
  readonly blockProducer: Producer<BlockAnnouncement>;
}

export function createSync(settings: Settings, deps: SyncDependencies): SyncManager {
  const { bans, blockProducer, peers } = deps;
  const { registry, syncRow } = peers;
  const forcedPeer = settings.p2p_force_sync_peer as PeerId | undefined;
  const policy = new ClaimsPolicy(
    {
      ...deps,
      candidates: () => registry.connectedList().map(syncRow),
      penalizeFailure: (peerId: PeerId) => {
        const facts = { topic: '', hash: undefined };
        bans.addScore(peerId, 'catch_up_failure', { role: 'author', rule: 'peer_failure', ...facts });
        bans.noteAtHost(registry.get(peerId)?.dataHubUrl ?? '', 'catch_up_failure', facts);
      },
    },
    { forcedPeer },
  );
  const sync = new SyncManager(
    {
      ...deps,
      policy,
      connectedCount: () => registry.connectedList().length,
      publishBlock: (announcement) => blockProducer.publish(announcement),
    },
    {
      minPeers: settings.p2p_min_peers_for_sync,
      maxWaitMs: settings.p2p_max_wait_for_min_peers,
      hasForcedPeer: forcedPeer !== undefined,
      hasBootstrap: settings.p2p_bootstrap_addresses.length > 0,
    },
  );
  registry.onDisconnected((peerId) => sync.peerLeft(peerId));
  return sync;
}
