// What the sync peer has delivered since it was chosen, and when that is to be evaluated.
import type { PeerHistory } from '../domain/peer-history.ts';
import type { SyncRound } from './evaluation.ts';

/** Times are monotonic. */
export class WorkCourse {
  private evaluatedMs: number;
  private progressedMs: number;
  private blocks: number;
  private ownHeight: number;

  constructor(history: PeerHistory | undefined, { nowMs, ownHeight }: SyncRound) {
    this.evaluatedMs = nowMs;
    this.progressedMs = nowMs;
    this.blocks = history?.blocksReceived ?? 0;
    this.ownHeight = ownHeight;
  }

  /**
   * Notes what the peer has delivered: blocks that our validation reported as valid, and blocks by which our chain grew
   * in a catch-up that it was the source of. At other times our chain grows by what any peer announces.
   */
  saw(history: PeerHistory | undefined, isItsCatchUp: boolean, { nowMs, ownHeight }: SyncRound): void {
    const blocks = history?.blocksReceived ?? 0;
    if (blocks > this.blocks || (isItsCatchUp && ownHeight > this.ownHeight)) this.progressedMs = nowMs;
    this.blocks = blocks;
    this.ownHeight = ownHeight;
  }

  stillMs(nowMs: number): number {
    return nowMs - this.progressedMs;
  }

  /** True once per interval. */
  isEvaluation(nowMs: number, intervalMs: number): boolean {
    if (nowMs - this.evaluatedMs < intervalMs) return false;
    this.evaluatedMs = nowMs;
    return true;
  }
}
