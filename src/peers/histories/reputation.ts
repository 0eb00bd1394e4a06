// The arithmetic of reputation as Teranode's peer registry computes it, so that peers rank alike wherever their
// histories are kept.
import type { PeerHistory } from '../../domain/peer-history.ts';

/** Of a peer without a history. */
export const NEUTRAL_REPUTATION = 50;
/** Below it no sync; only such peers are reconsidered. */
export const BAD_REPUTATION = 20;
/** After another chance: below neutral, and good enough to sync from. */
export const RECONSIDERED_REPUTATION = 30;
const MALICIOUS_REPUTATION = 5;
const MAX_REPUTATION = 100;

const SUCCESS_WEIGHT = 0.6;
const BASE = 20;
const RECENT_MS = 3_600_000;
const RECENT_FAILURE = -15;
const RECENT_SUCCESS = 10;
/** Average response times in ms, exclusive upper bounds, with their factors. */
const SPEED_FACTORS = [
  [200, 1.2],
  [500, 1.1],
  [2000, 1],
  [5000, 0.9],
  [10_000, 0.8],
  [30_000, 0.7],
] as const;
const SLOWEST_FACTOR = 0.6;
const OLD_AVERAGE_WEIGHT = 0.8;
const NEW_RESPONSE_WEIGHT = 0.2;
const RESET_GROWTH = 3;

export type ReputationFacts = Pick<
  PeerHistory,
  'successes' | 'failures' | 'malicious' | 'lastSuccessMs' | 'lastFailureMs' | 'avgResponseMs'
>;

export type ChanceFacts = Pick<PeerHistory, 'reputation' | 'lastFailureMs' | 'lastResetMs' | 'resets'>;

/** 0 to 100. */
export function reputationOf(facts: ReputationFacts, nowMs: number): number {
  if (facts.malicious > 0) return MALICIOUS_REPUTATION;
  const outcomes = facts.successes + facts.failures;
  if (outcomes === 0) return NEUTRAL_REPUTATION;
  const successPercent = (facts.successes / outcomes) * 100;
  const recentFailure = isRecent(facts.lastFailureMs, nowMs) ? RECENT_FAILURE : 0;
  const recentSuccess = isRecent(facts.lastSuccessMs, nowMs) ? RECENT_SUCCESS : 0;
  const sum = successPercent * SUCCESS_WEIGHT + BASE + recentFailure + recentSuccess;
  return clampedReputation(sum * speedFactor(facts.avgResponseMs));
}

export function clampedReputation(reputation: number): number {
  return Number.isNaN(reputation) ? NEUTRAL_REPUTATION : Math.min(MAX_REPUTATION, Math.max(0, reputation));
}

/** 0 ms means unknown. */
export function speedFactor(avgResponseMs: number): number {
  if (avgResponseMs === 0) return 1;
  return SPEED_FACTORS.find(([belowMs]) => avgResponseMs < belowMs)?.[1] ?? SLOWEST_FACTOR;
}

/** The moving average in whole ms after one more response; the first response is the average. */
export function averageAfter(avgResponseMs: number, responseMs: number | undefined): number {
  if (responseMs === undefined || responseMs <= 0) return avgResponseMs;
  if (avgResponseMs === 0) return Math.floor(responseMs);
  return Math.floor(avgResponseMs * OLD_AVERAGE_WEIGHT + responseMs * NEW_RESPONSE_WEIGHT);
}

/** Whether a peer of bad reputation gets another chance: each earlier one triples the wait for the next. */
export function deservesAnotherChance(history: ChanceFacts, cooldownMs: number, nowMs: number): boolean {
  const { reputation, lastFailureMs, lastResetMs, resets } = history;
  if (reputation >= BAD_REPUTATION || lastFailureMs === undefined || nowMs - lastFailureMs < cooldownMs) return false;
  return lastResetMs === undefined || nowMs - lastResetMs >= cooldownMs * RESET_GROWTH ** resets;
}

function isRecent(atMs: number | undefined, nowMs: number): boolean {
  return atMs !== undefined && nowMs - atMs < RECENT_MS;
}
