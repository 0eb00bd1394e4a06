// What this node's own services experienced with a peer: the base of its reputation and of the choice of sync peers.
// The peer's own claims are not part of it; they stand in the registry.

import type { BlockHash, PeerId } from './ids.ts';

/** The highest chain of a peer that our own validation confirmed. */
export interface ValidatedProgress {
  /** uint32. */
  readonly height: number;
  readonly hash: BlockHash;
  /** Total work up to and with this block. */
  readonly chainWork: bigint;
  /** Unix ms. */
  readonly atMs: number;
}

/** All times are Unix ms, undefined when it never happened; all counts only grow, except through a reset. */
export interface PeerHistory {
  readonly id: PeerId;
  readonly attempts: number;
  readonly successes: number;
  readonly failures: number;
  readonly malicious: number;
  readonly lastAttemptMs: number | undefined;
  readonly lastSuccessMs: number | undefined;
  readonly lastFailureMs: number | undefined;
  /** 0 to 100; 50 for a peer without a history. */
  readonly reputation: number;
  /** Moving average in ms; 0 while unknown. */
  readonly avgResponseMs: number;
  readonly catchupAttempts: number;
  readonly catchupSuccesses: number;
  readonly catchupFailures: number;
  readonly lastCatchupError: string;
  readonly lastCatchupErrorMs: number | undefined;
  readonly blocksReceived: number;
  readonly subtreesReceived: number;
  readonly transactionsReceived: number;
  readonly lastBlockMs: number | undefined;
  readonly bytesReceived: bigint;
  readonly validated: ValidatedProgress | undefined;
  readonly syncAttempts: number;
  readonly lastSyncAttemptMs: number | undefined;
  readonly resets: number;
  readonly lastResetMs: number | undefined;
  /** Until then its claim of full storage does not count, because it delivered an incomplete block. */
  readonly fullStoragePenaltyUntilMs: number | undefined;
}

/** One experience with a peer. `responseMs` is unknown when undefined. */
export type PeerEvent =
  | { readonly type: 'sync_attempt' }
  | { readonly type: 'catchup_attempt' }
  | { readonly type: 'catchup_success'; readonly responseMs: number | undefined }
  | { readonly type: 'catchup_failure'; readonly kind: 'generic' | 'block_incomplete' }
  | { readonly type: 'catchup_malicious' }
  | { readonly type: 'catchup_error'; readonly message: string }
  /** Counts as a failure without being a failed catch-up, such as an invalid subtree or a reported peer failure. */
  | { readonly type: 'failure' }
  | { readonly type: 'valid_block'; readonly responseMs: number | undefined }
  | { readonly type: 'valid_subtree'; readonly responseMs: number | undefined }
  | { readonly type: 'valid_headers'; readonly responseMs: number | undefined }
  | {
      readonly type: 'validated_progress';
      readonly height: number;
      readonly hash: BlockHash;
      readonly chainWork: bigint;
    }
  | { readonly type: 'bytes_downloaded'; readonly bytes: bigint }
  /** A service of before 2026 sets the reputation itself, 0 to 100. A service that keeps the histories has no such call. */
  | { readonly type: 'reputation_set'; readonly reputation: number };
