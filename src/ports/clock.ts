// Time is injected, so that tests move it instead of waiting for it.

/** Wall time and monotonic time, both in milliseconds. */
export interface Clock {
  /** Unix time in ms. */
  now(): number;
  /** Time in ms that never goes back, for intervals and ages. */
  monotonic(): number;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
