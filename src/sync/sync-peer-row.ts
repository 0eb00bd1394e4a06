// A peer of the registry as the choice of the sync peer sees it.

import type { BlockHash, PeerId } from '../domain/ids.ts';
import type { RegisteredPeer } from '../peers/registry.ts';
import type { SyncPeerRow } from './choose-sync-peer.ts';

/** What others know of a peer. */
export interface SyncPeerSources {
  isBanned(peerId: PeerId): boolean;
  scoreOf(peerId: PeerId): number;
  healthOf(dataHubUrl: string): SyncPeerRow['dataHubHealth'];
  /** Height of a header of our own chain. */
  ownHeightOf(hash: BlockHash): number | undefined;
}

/** Our chain as it is now goes before what the registry noted: it may have got the claimed block since, or the claim may be of an old one. */
export function syncPeerRow(peer: RegisteredPeer, sources: SyncPeerSources): SyncPeerRow {
  const { id, claimed, dataHubUrl } = peer;
  const ownHeight = claimed?.hash === undefined ? undefined : sources.ownHeightOf(claimed.hash);
  return {
    peerId: id,
    isConnected: peer.isConnected,
    isBanned: sources.isBanned(id),
    score: sources.scoreOf(id),
    claimed,
    proven: ownHeight === undefined ? peer.proven : { height: ownHeight, hash: claimed?.hash },
    dataHubUrl,
    dataHubHealth: dataHubUrl === undefined ? 'unknown' : sources.healthOf(dataHubUrl),
    lastMessageMs: peer.lastMessageMs,
  };
}
