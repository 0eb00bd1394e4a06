// The rules of the wire in force, as a value: which peer to sync from and when to give it up. `ClaimsPolicy` follows
// wire.md (go-p2p), `WorkPolicy` follows today.md (message-bus). Timers, triggers and the session are the manager's.
import type { PeerId } from '../domain/ids.ts';
import type { FsmState } from '../ports/blockchain-client.ts';
import type { FitPeer, SyncRound } from './evaluation.ts';
import type { SyncSession } from './sync-session.ts';
import type { Weighed } from './weighed.ts';

/**
 * Why no peer was chosen. `no_peers`: none has a known best block. `level`: none is ahead of us. `none_usable`: some
 * are ahead, and none of them qualifies. `forced_absent` and `forced_unusable`: with `p2p_force_sync_peer`.
 * `awaiting_check`: the DataHub of the best peer has not been checked yet. `backing_off`: no peer qualified a moment
 * ago.
 */
export type WhyNobody =
  | 'no_peers'
  | 'level'
  | 'none_usable'
  | 'forced_absent'
  | 'forced_unusable'
  | 'awaiting_check'
  | 'backing_off';

export type Choice =
  | { readonly outcome: 'chosen'; readonly peer: FitPeer }
  | { readonly outcome: 'nobody'; readonly why: WhyNobody };

/** `weighed`: why each peer was chosen or passed over; undefined when no peers were compared. */
export type WeighedChoice = Choice & { readonly weighed: Weighed | undefined };

/**
 * Why the attempt ended. `failed`: the catch-up failed, which counts against the peer. `short`: a catch-up ended below
 * the requested block.
 */
export type SyncEnd =
  | 'level'
  | 'left'
  | 'banned'
  | 'unusable'
  | 'failed'
  | 'short'
  | 'inactive'
  | 'stalled'
  | 'low_reputation'
  | 'better_peer'
  | 'idle';

/** Something that a policy remembers by peer, for a metric. */
export interface SyncMemory {
  readonly kind: string;
  size(): number;
  readonly bound: number;
}

/** Calls are synchronous; each session that `choose` leads to is reported by `chosen` and by `ended`. */
export interface SyncPolicy {
  /** FSM states at which there may be a sync peer. */
  readonly activeStates: ReadonlySet<FsmState>;
  /** Interval between rounds while there is a sync peer and the FSM is not RUNNING. */
  readonly catchUpIntervalMs: number;
  /** Whether an attempt ends when the peer disconnects. */
  readonly needsConnection: boolean;
  readonly memories: readonly SyncMemory[];
  /** A round begins. */
  roundBegan(round: SyncRound): void;
  /** Whether the peer could be chosen. */
  isFit(peerId: PeerId, round: SyncRound): boolean;
  /** Why the session is over; undefined while it continues. Updates `session.peer`. */
  endOf(session: SyncSession, round: SyncRound): SyncEnd | undefined;
  choose(round: SyncRound): WeighedChoice;
  chosen(session: SyncSession, round: SyncRound): void;
  /** Block validation was asked to fetch from the peer. */
  triggered(peerId: PeerId): void;
  /** Returns how many attempts with the peer have failed so far. */
  ended(session: SyncSession, reason: SyncEnd): number;
  /** Block validation gave up on a peer that is not the sync peer. */
  failureReported(peerId: PeerId): void;
}
