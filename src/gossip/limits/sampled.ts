// Sampling for events that may happen with every message: the first is reported at once, later ones now and then, with
// the number in between.
import type { Clock } from '../../ports/clock.ts';

/** At most one report per this time. */
const INTERVAL_MS = 10_000;

/** Calls `report` at most once per 10 s, with the number of events suppressed since the last report. */
export function sampled<T>(clock: Clock, report: (event: T, suppressed: number) => void): (event: T) => void {
  let reportedMs = Number.NEGATIVE_INFINITY;
  let suppressed = 0;
  return (event) => {
    const now = clock.monotonic();
    if (now - reportedMs < INTERVAL_MS) {
      suppressed += 1;
      return;
    }
    reportedMs = now;
    report(event, suppressed);
    suppressed = 0;
  };
}
