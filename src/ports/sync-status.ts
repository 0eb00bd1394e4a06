// Whom this node syncs from, as the rest of it sees that: node status, guards, admin.
import type { BlockHash, PeerId } from '../domain/ids.ts';

export interface SyncPeer {
  readonly peerId: PeerId;
  readonly height: number;
  readonly hash: BlockHash | undefined;
  /** Unix ms at which it was chosen, or, when it was chosen before on the same connection, first chosen. */
  readonly sinceMs: number;
}

export interface SyncStatus {
  /** undefined while nobody is chosen. */
  syncPeer(): SyncPeer | undefined;
}
