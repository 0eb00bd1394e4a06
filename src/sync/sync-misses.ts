// Choices of a sync peer that came to nothing, by peer, connected or not, so that leaving and coming back helps no liar. A failed catch-up is
// the peer's doing, and it rests longer each time. A stall may be the doing of our own block validation: it puts the peer behind others.
import type { Misses } from './choose-sync-peer.ts';

/** Peers remembered of each kind; when full, the one that missed longest ago is forgotten. */
export const MAX_MISSED_PEERS = 1000;
/** A peer without a miss for so long begins anew; four times the longest rest. */
const KEEP_MS = 24 * 3_600_000;
/** After a failed catch-up: longer than an honest peer's restart or a burst of load. */
export const FIRST_REST_MS = 10 * 60_000;
/** Doubled with each failed catch-up up to this. */
export const LONGEST_REST_MS = 6 * 3_600_000;
/** After a stall, however many there were. */
export const STALL_REST_MS = 10 * 60_000;

interface Entry {
  readonly count: number;
  readonly lastMs: number;
  readonly restsUntilMs: number;
}

/** Times are monotonic. */
export class SyncMisses {
  /** In both, who missed longest ago first. */
  private readonly failures = new Map<string, Entry>();
  private readonly stalls = new Map<string, Entry>();
  /** The first who stalled since our chain grew last, and whether others did after it. */
  private row: { readonly first: string; readonly isLong: boolean } | undefined;

  get failedPeers(): number {
    return this.failures.size;
  }

  get stalledPeers(): number {
    return this.stalls.size;
  }

  of(peerId: string, nowMs: number): Misses {
    const [failure, stall] = [current(this.failures, peerId, nowMs), current(this.stalls, peerId, nowMs)];
    return {
      count: (failure?.count ?? 0) + (stall?.count ?? 0),
      restsUntilMs: Math.max(failure?.restsUntilMs ?? 0, stall?.restsUntilMs ?? 0),
    };
  }

  /** Whether it rests because a catch-up failed. */
  isAtFault(peerId: string, nowMs: number): boolean {
    return nowMs < (current(this.failures, peerId, nowMs)?.restsUntilMs ?? 0);
  }

  /** A catch-up with the peer failed. */
  failed(peerId: string, nowMs: number): void {
    const before = current(this.failures, peerId, nowMs)?.count ?? 0;
    note(this.failures, peerId, nowMs, Math.min(FIRST_REST_MS * 2 ** before, LONGEST_REST_MS));
  }

  /** Nothing came of asking the peer. It rests, unless others stalled just before: then none of them is to blame, and none rests. */
  stalled(peerId: string, nowMs: number): void {
    const first = this.row?.first ?? peerId;
    const isLong = this.row?.isLong === true || first !== peerId;
    this.row = { first, isLong };
    note(this.stalls, peerId, nowMs, isLong ? 0 : STALL_REST_MS);
    if (!isLong) return;
    for (const [each, entry] of this.stalls) this.stalls.set(each, { ...entry, restsUntilMs: 0 });
  }

  /** The peer was given up before our chain grew, for no fault that is known; it does not rest. */
  fruitless(peerId: string, nowMs: number): void {
    note(this.stalls, peerId, nowMs, 0);
  }

  /** Our chain has grown, with whomever. */
  grew(): void {
    this.row = undefined;
  }

  /** The peer brought what was asked of it. If it had stalled before, that was our own doing, and so may the stalls of others have been. */
  delivered(peerId: string): void {
    if (this.stalls.has(peerId)) this.stalls.clear();
  }
}

function current(entries: ReadonlyMap<string, Entry>, peerId: string, nowMs: number): Entry | undefined {
  const entry = entries.get(peerId);
  return entry === undefined || nowMs - entry.lastMs > KEEP_MS ? undefined : entry;
}

function note(entries: Map<string, Entry>, peerId: string, nowMs: number, restMs: number): void {
  const before = current(entries, peerId, nowMs);
  const restsUntilMs = Math.max(before?.restsUntilMs ?? 0, restMs === 0 ? 0 : nowMs + restMs);
  entries.delete(peerId);
  entries.set(peerId, { count: (before?.count ?? 0) + 1, lastMs: nowMs, restsUntilMs });
  const oldest = entries.keys().next();
  if (entries.size > MAX_MISSED_PEERS && !oldest.done) entries.delete(oldest.value);
}
