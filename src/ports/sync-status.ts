// The sync peer, for node status, validators and the admin API.
import type { BlockHash, PeerId } from '../domain/ids.ts';

export interface SyncPeer {
  readonly peerId: PeerId;
  readonly height: number;
  readonly hash: BlockHash | undefined;
  /** Unix ms at which it was first chosen on its current connection. */
  readonly sinceMs: number;
}

export interface SyncStatus {
  /** undefined while no sync peer is chosen. */
  syncPeer(): SyncPeer | undefined;
}
