// Time is injected, so that tests can move the clock instead of waiting.

/** Wall time and monotonic time, both in milliseconds. */
export interface Clock {
  /** Unix time in ms. */
  now(): number;
  /** Monotonic time in ms, for intervals and ages. */
  monotonic(): number;
}

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
