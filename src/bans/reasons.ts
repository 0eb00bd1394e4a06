// What an offence costs (spec "Ban Management"), and how a score fades.
import type { BanReason } from '../ports/ban-store.ts';

/** Points of each reason; the specification's numbers, catch-up failure as today's Go service counts it. */
export const REASON_POINTS = {
  unknown: 1,
  invalid_subtree: 10,
  protocol_violation: 20,
  spam: 50,
  invalid_block: 10,
  catch_up_failure: 30,
} as const satisfies Record<BanReason, number>;

/** One point leaves with each whole interval. */
export const DECAY_INTERVAL_MS = 60_000;

/** What is left of a score, and the moment it is of: whole intervals are taken off, the rest of time is kept. */
export function decayed(score: number, atMs: number, nowMs: number): { readonly score: number; readonly atMs: number } {
  const intervals = Math.max(0, Math.floor((nowMs - atMs) / DECAY_INTERVAL_MS));
  return score > intervals
    ? { score: score - intervals, atMs: atMs + intervals * DECAY_INTERVAL_MS }
    : { score: 0, atMs: Math.max(nowMs, atMs) };
}
