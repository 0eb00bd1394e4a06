// A registered peer with everything that the choice of a sync peer needs to know about it.

import type { BlockHash, PeerId } from '../domain/ids.ts';
import type { RegisteredPeer } from '../peers/registry.ts';
import type { SyncPeerRow } from './choose-sync-peer.ts';

/** What other parts know about a peer. */
export interface SyncPeerSources {
  isBanned(peerId: PeerId): boolean;
  scoreOf(peerId: PeerId): number;
  /** From 0 to 1; 0 where first deliveries do not count. */
  deliveryShareOf(peerId: PeerId): number;
  healthOf(dataHubUrl: string): SyncPeerRow['dataHubHealth'];
  /** Height of a header of our own chain; undefined for any other. */
  ownHeightOf(hash: BlockHash): number | undefined;
}

/**
 * Our chain as it is now overrides what the registry recorded: the claimed block may have arrived since, or the claim
 * may name an old block.
 */
export function syncPeerRow(peer: RegisteredPeer, sources: SyncPeerSources): SyncPeerRow {
  const { id, claimed, dataHubUrl } = peer;
  const ownHeight = claimed?.hash === undefined ? undefined : sources.ownHeightOf(claimed.hash);
  return {
    peerId: id,
    isConnected: peer.isConnected,
    isBanned: sources.isBanned(id),
    score: sources.scoreOf(id),
    deliveryShare: sources.deliveryShareOf(id),
    claimed,
    proven: ownHeight === undefined ? peer.proven : { height: ownHeight, hash: claimed?.hash },
    dataHubUrl,
    dataHubHealth: dataHubUrl === undefined ? 'unknown' : sources.healthOf(dataHubUrl),
    lastMessageMs: peer.lastMessageMs,
  };
}
