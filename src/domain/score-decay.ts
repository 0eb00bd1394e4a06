// How a score fades (spec "Ban Management"). Beside the ports, because memory and every store must come to the same
// number.

/** One point decays with each whole interval. */
export const DECAY_INTERVAL_MS = 60_000;

/** The score after an offence that does not raise it above `ceiling`. */
export function raised(score: number, points: number, ceiling = Number.POSITIVE_INFINITY): number {
  return Math.max(score, Math.min(score + points, ceiling));
}

/** The decayed score and its time: whole intervals are subtracted, the remainder is kept for the next one. */
export function decayed(score: number, atMs: number, nowMs: number): { readonly score: number; readonly atMs: number } {
  const intervals = Math.max(0, Math.floor((nowMs - atMs) / DECAY_INTERVAL_MS));
  return score > intervals
    ? { score: score - intervals, atMs: atMs + intervals * DECAY_INTERVAL_MS }
    : { score: 0, atMs: Math.max(nowMs, atMs) };
}
