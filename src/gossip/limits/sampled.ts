// Something that may happen with every message is told at once and then now and then, with how often it happened in between.
import type { Clock } from '../../ports/clock.ts';

/** One line in this time at most. */
const INTERVAL_MS = 10_000;

/** Calls `tell` with the number of earlier times that were not told; at most once in 10 s. */
export function sampled<T>(clock: Clock, tell: (what: T, untold: number) => void): (what: T) => void {
  let toldMs = Number.NEGATIVE_INFINITY;
  let untold = 0;
  return (what) => {
    const now = clock.monotonic();
    if (now - toldMs < INTERVAL_MS) {
      untold += 1;
      return;
    }
    toldMs = now;
    tell(what, untold);
    untold = 0;
  };
}
