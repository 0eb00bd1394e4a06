// Which peers failed a catch-up, and how often: they rest (see `isResting`), connected or not, so that leaving and coming back helps no liar.
import type { CatchUpFailure } from './choose-sync-peer.ts';

/** Peers remembered; when full, the one that failed longest ago is forgotten. */
export const MAX_FAILED_PEERS = 1000;
/** A peer without a failure for so long begins anew; four times the longest rest. */
const KEEP_MS = 24 * 3_600_000;

export class CatchUpFailures {
  /** Failed longest ago first. */
  private readonly failures = new Map<string, CatchUpFailure>();

  get size(): number {
    return this.failures.size;
  }

  /** `nowMs` is monotonic. */
  of(peerId: string, nowMs: number): CatchUpFailure | undefined {
    const failure = this.failures.get(peerId);
    return failure === undefined || nowMs - failure.lastMs > KEEP_MS ? undefined : failure;
  }

  add(peerId: string, nowMs: number): CatchUpFailure {
    const failure = { count: (this.of(peerId, nowMs)?.count ?? 0) + 1, lastMs: nowMs };
    this.failures.delete(peerId);
    this.failures.set(peerId, failure);
    const oldest = this.failures.keys().next();
    if (this.failures.size > MAX_FAILED_PEERS && !oldest.done) this.failures.delete(oldest.value);
    return failure;
  }
}
