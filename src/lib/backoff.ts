// Exponential back-off: how long to wait before the next attempt.

export interface BackoffTimes {
  /** After the first failure. */
  readonly firstMs: number;
  /** Never longer. */
  readonly lastMs: number;
}

/** Beyond this many doublings the longest time is reached in any case; keeps the power finite. */
const MAX_DOUBLINGS = 30;

/** `firstMs`, doubled with each further failure up to `lastMs`. 0 when nothing failed. */
export function backoffMs({ firstMs, lastMs }: BackoffTimes, failures: number): number {
  if (failures <= 0) return 0;
  return Math.min(lastMs, firstMs * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
}
