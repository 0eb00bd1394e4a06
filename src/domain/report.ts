// What the node's own validation reports to this node.

import type { BlockHash, Hash, SubtreeHash } from './ids.ts';

export interface InvalidBlockReport {
  readonly hash: BlockHash;
  readonly reason: string;
  /** From whom it was fetched; empty when the service does not say. */
  readonly peerId: string;
  /** DataHub that it was fetched from; may be empty. */
  readonly peerUrl: string;
}

export interface InvalidSubtreeReport {
  readonly hash: SubtreeHash;
  /** DataHub that it was fetched from; may be empty. */
  readonly peerUrl: string;
  readonly reason: string;
  /** From whom it was fetched; empty when the service does not say. */
  readonly peerId: string;
}

export interface RejectedTxReport {
  readonly txId: Hash;
  readonly reason: string;
  /** Not empty: reported by a peer, so it is not ours to announce. */
  readonly peerId: string;
}
