// What one round of the evaluation found: about this node, and about each peer that might be synced from.
import type { BlockHash, PeerId } from '../domain/ids.ts';
import type { FsmState } from '../ports/blockchain-client.ts';

/** What one round of the evaluation found about this node. */
export interface SyncRound {
  readonly state: FsmState;
  readonly ownHeight: number;
  /** Total work of our chain; undefined where the blockchain service does not return it. */
  readonly ownWork: bigint | undefined;
  /** The FSM had returned to RUNNING from the catch-up of our sync peer before `ownHeight` was read. */
  readonly hadReturned: boolean;
  /** Monotonic. */
  readonly nowMs: number;
}

/** A peer that qualifies, with what is needed to fetch from it. */
export interface FitPeer {
  readonly peerId: PeerId;
  /** As far as the claim is believed. */
  readonly height: number;
  readonly hash: BlockHash;
  readonly dataHubUrl: string;
  readonly score: number;
  readonly failedAttempts: number;
  /** Its share of the first deliveries to us, where that decides among equals; 0 for a peer without one. */
  readonly deliveryShare: number;
  /** It is chosen for a claim that nothing confirms, and counts against the limit of such choices (today.md). */
  readonly isProbe: boolean;
}

/** The first rule that a peer breaks. From `low_reputation` on the peer is ahead of us. */
export type Unfitness =
  | 'not_connected'
  | 'banned'
  | 'no_best_hash'
  | 'not_ahead'
  | 'low_reputation'
  | 'cooling_down'
  | 'no_datahub'
  | 'datahub_unhealthy';

export type Fitness =
  | { readonly isFit: true; readonly peer: FitPeer }
  | { readonly isFit: false; readonly why: Unfitness };
