// The sync peer, for node status, validators and the admin API, and why it was chosen, for operators.
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

/** Rules that a peer breaks, so that it cannot be the sync peer; the first one counts. */
export const UNFIT = [
  'not_connected',
  'banned',
  'no_best_hash',
  'not_ahead',
  'low_reputation',
  'cooling_down',
  'no_datahub',
  'datahub_unhealthy',
] as const;

/**
 * By what one usable peer is preferred to another, in the order in which it is compared. The wire in force uses some of
 * them (docs/parity.md, "Sync").
 */
export const CRITERIA = [
  'forced',
  'previous_attempt_failed',
  'proven_height',
  'probe_limit',
  'storage',
  'delivered_lately',
  'validated_work',
  'failed_attempts',
  'connection',
  'previous_sync_peer',
  'reputation',
  'response_time',
  'ban_score',
  'height',
  'datahub_checked',
  'kept',
  'first_deliveries',
  'random',
] as const;

/**
 * How the last evaluation went. `idle`: the FSM is in a state in which nothing is synced. `awaiting_peers`: too few
 * peers are connected yet. The others but `chosen`: why no peer was chosen.
 */
export const SYNC_OUTCOMES = [
  'chosen',
  'idle',
  'awaiting_peers',
  'no_peers',
  'level',
  'none_usable',
  'forced_absent',
  'forced_unusable',
  'awaiting_check',
  'backing_off',
] as const;

/** Why the sync with a peer ended. */
export const SYNC_ENDS = [
  'level',
  'left',
  'banned',
  'unusable',
  'failed',
  'short',
  'inactive',
  'stalled',
  'low_reputation',
  'better_peer',
  'idle',
] as const;

export type Unfit = (typeof UNFIT)[number];
export type Criterion = (typeof CRITERIA)[number];
export type PassedOver = Unfit | Criterion;
export type SyncOutcome = (typeof SYNC_OUTCOMES)[number];
export type SyncEndReason = (typeof SYNC_ENDS)[number];

/** A peer as the choice of the sync peer saw it. */
export interface ConsideredPeer {
  readonly peerId: PeerId;
  readonly isChosen: boolean;
  /** The first rule that it breaks, or the first criterion by which it lost; undefined for the chosen peer. */
  readonly why: PassedOver | undefined;
  /** `why` for people. */
  readonly explanation: string;
  /** As far as its claim is believed; undefined while it claims none. */
  readonly height: number | undefined;
  readonly banScore: number;
  readonly failedAttempts: number;
  /** Unix ms; undefined while it is not cooling down. */
  readonly coolDownUntilMs: number | undefined;
  readonly dataHubHealth: 'unknown' | 'healthy' | 'unhealthy';
  /** From 0 to 1; 0 where first deliveries do not count. */
  readonly firstDeliveryShare: number;
  /** undefined where the choice does not depend on it (go-p2p). */
  readonly storage: 'full' | 'pruned' | undefined;
  readonly reputation: number | undefined;
}

/** Maximum number of peers listed with a choice. */
export const MAX_CONSIDERED = 20;

/** The last evaluation of the sync that led to a choice, or to none. */
export interface SyncChoice {
  readonly outcome: SyncOutcome;
  /** One or two plain sentences. */
  readonly explanation: string;
  /** Unix ms at which the outcome, or the chosen peer, changed. */
  readonly sinceMs: number;
  /** Unix ms at which the peers below were compared. While there is a sync peer, they are not compared again. */
  readonly comparedAtMs: number;
  /** undefined while none is chosen. */
  readonly peerId: PeerId | undefined;
  /** The last criterion that another peer lost by; `only_one` when no other peer was usable. */
  readonly decidedBy: Criterion | 'only_one' | undefined;
  /** Peers that were compared, and those of them that could be the sync peer. */
  readonly known: number;
  readonly usable: number;
  /** How many peers were passed over, by the reason. */
  readonly passedOver: readonly { readonly why: PassedOver; readonly peers: number }[];
  /** The chosen peer, then those that came nearest to being chosen; at most `MAX_CONSIDERED`. */
  readonly considered: readonly ConsideredPeer[];
}

/** The end of the last sync with a peer. */
export interface EndedSync {
  readonly peerId: PeerId;
  readonly reason: SyncEndReason;
  /** `reason` for people. */
  readonly explanation: string;
  /** Unix ms. */
  readonly atMs: number;
  /** Of this peer so far. */
  readonly failedAttempts: number;
}

export interface SyncExplanations {
  /** undefined before the first evaluation. */
  choice(): SyncChoice | undefined;
  /** undefined while no sync has ended. */
  lastEnd(): EndedSync | undefined;
}
