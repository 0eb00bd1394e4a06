// When peers were last tried: what histories say, and what happened here in the last seconds, because histories that a
// service keeps are a few seconds old.
import type { PeerId } from '../domain/ids.ts';
import { BoundedMap } from '../lib/bounded-map.ts';

/** Peers remembered; the one tried longest ago is forgotten. No more than one a second is ever tried. */
export const MAX_TRIED = 1000;

/** Times are Unix ms. */
export class TriedPeers {
  private readonly lastMs = new BoundedMap<PeerId, number>({ max: MAX_TRIED });
  private clearedMs = Number.NEGATIVE_INFINITY;

  get size(): number {
    return this.lastMs.size;
  }

  tried(peerId: PeerId, nowMs: number): void {
    this.lastMs.set(peerId, nowMs);
  }

  /** No attempt until now counts any more. */
  clear(nowMs: number): void {
    this.lastMs.clear();
    this.clearedMs = nowMs;
  }

  /** The last attempt that counts. `recordedMs`: the last one in the peer's history. */
  lastOf(peerId: PeerId, recordedMs: number | undefined): number | undefined {
    const lastMs = Math.max(recordedMs ?? 0, this.lastMs.get(peerId) ?? 0);
    return lastMs > 0 && lastMs > this.clearedMs ? lastMs : undefined;
  }
}
