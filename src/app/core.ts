// What every part of the server gets besides its settings.
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';

export interface Core {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** From 0 up to 1. */
  readonly random: () => number;
}
