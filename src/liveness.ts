// Whether this process still moves: its event loop turns, and its pipeline gets to the end of a message. Depends on nothing outside.
import type { Clock } from './ports/clock.ts';
import type { Metrics } from './ports/metrics.ts';

const BEAT_MS = 1000;
/** The loop stood still for this long just before the answer, or a message is in work for as long: something is stuck. */
const STUCK_MS = 15_000;

export class Liveness {
  private readonly clock: Clock;
  private lastBeatMs: number;
  private longestDelayMs = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.clock = deps.clock;
    this.lastBeatMs = deps.clock.monotonic();
    deps.metrics.gauge(
      'teranode_p2p_event_loop_delay_seconds',
      'Longest delay of the event loop since the last scrape',
      () => {
        const longest = this.longestDelayMs;
        this.longestDelayMs = 0;
        return longest / 1000;
      },
    );
  }

  start(): void {
    this.lastBeatMs = this.clock.monotonic();
    this.timer ??= setInterval(() => this.beat(), BEAT_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** undefined while it moves; else for how many ms it has not. */
  stuckForMs(): number | undefined {
    if (this.timer === undefined) return undefined;
    const stillMs = this.clock.monotonic() - this.lastBeatMs;
    return stillMs > STUCK_MS ? Math.round(stillMs) : undefined;
  }

  private beat(): void {
    const now = this.clock.monotonic();
    this.longestDelayMs = Math.max(this.longestDelayMs, now - this.lastBeatMs - BEAT_MS);
    this.lastBeatMs = now;
  }
}
