// How many peers may be tried for a claim that nothing confirms, and how long to wait when no peer qualifies
// (today.md, "Sync"). Liars can so waste a few attempts in each back-off window, however many they are.
import { backoffMs } from '../lib/backoff.ts';

/** As in Teranode: 2 s, doubled to 64 s. */
const WAIT = { firstMs: 2000, lastMs: 64_000 };
/** A peer of low reputation gets another chance after this time without a failure, longer after long waits. */
const RECONSIDER_MS = 5 * 60_000;

/** Times are monotonic. */
export class ProbeWindow {
  private readonly maxProbes: number;
  private left: number;
  private waits = 0;
  private untilMs: number | undefined;
  private work = 0n;

  /** `maxProbes`: `p2p_max_unproven_sync_probes_per_backoff_window`. */
  constructor(maxProbes: number) {
    this.maxProbes = maxProbes;
    this.left = maxProbes;
  }

  get probesLeft(): number {
    return this.left;
  }

  /** For how long a peer of low reputation must have been without a failure to be reconsidered. */
  get reconsiderMs(): number {
    return RECONSIDER_MS * Math.max(1, backoffMs(WAIT, this.waits) / WAIT.firstMs / 2);
  }

  /** The work of our own chain; when it has grown, probes are available again. */
  sawWork(work: bigint | undefined): void {
    if (work === undefined || work <= this.work) return;
    this.work = work;
    this.left = this.maxProbes;
  }

  /** Whether the wait is on; probes are available again when it has ended. */
  isWaiting(nowMs: number): boolean {
    if (this.untilMs === undefined) return false;
    if (nowMs < this.untilMs) return true;
    this.untilMs = undefined;
    this.left = this.maxProbes;
    return false;
  }

  /** No peer qualified: waits twice as long as the last time. */
  wait(nowMs: number): void {
    this.waits += 1;
    this.untilMs = nowMs + backoffMs(WAIT, this.waits);
  }

  probe(): void {
    this.left -= 1;
  }

  /** A sync has succeeded, nothing is left to sync, or peers were reconsidered: the next wait is short again. */
  reset(): void {
    this.waits = 0;
    this.untilMs = undefined;
    this.left = this.maxProbes;
  }
}
