// When a sync peer is given up by the rules of today.md: facts in, a reason out.
import type { SyncEnd } from './sync-policy.ts';

export interface WorkObservation {
  /** `level`: the peer is not ahead of us any more. */
  readonly standing: 'ahead' | 'level' | 'banned' | 'no_datahub';
  /** A catch-up from the peer ended below what was requested. */
  readonly hasFallenShort: boolean;
  /** `p2p_sync_coordinator_periodic_evaluation_interval` has passed since the last evaluation. */
  readonly isEvaluation: boolean;
  /** `p2p_force_sync_peer` names the peer: then no other one replaces it. */
  readonly isForced: boolean;
  readonly reputation: number;
  /** Time without a new validated block from the peer. */
  readonly stillMs: number;
  /** Another peer that could be chosen has strictly more validated work than the peer and this node. */
  readonly hasBetter: boolean;
}

export interface EndRules {
  /** `p2p_sync_peer_no_progress_timeout`. */
  readonly noProgressMs: number;
  /** Below it a peer is replaced. */
  readonly minReputation: number;
}

/** Why the attempt is over; undefined while it continues. */
export function endByWork(seen: WorkObservation, { noProgressMs, minReputation }: EndRules): SyncEnd | undefined {
  if (seen.hasFallenShort) return 'short';
  if (seen.standing === 'no_datahub') return 'unusable';
  if (seen.standing !== 'ahead') return seen.standing;
  if (!seen.isEvaluation) return undefined;
  if (seen.stillMs >= noProgressMs) return 'stalled';
  if (seen.isForced) return undefined;
  if (seen.reputation < minReputation) return 'low_reputation';
  return seen.hasBetter && seen.stillMs >= noProgressMs / 2 ? 'better_peer' : undefined;
}
