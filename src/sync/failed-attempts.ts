// Attempts to sync that failed, by peer, connected or not, so that a dishonest peer gains nothing by reconnecting.
// A failed catch-up is the peer's fault: its cool-down grows each time. No progress may be the fault of our own block
// validation: it only puts the peer behind others.
import { backoffMs } from '../lib/backoff.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import type { PeerAttempts } from './choose-sync-peer.ts';

/** Peers remembered of each kind; when full, the one whose last failed attempt is oldest is forgotten. */
export const MAX_PEERS = 1000;
/** A peer without a failed attempt for this long starts afresh; four times the longest cool-down. */
const KEEP_MS = 24 * 3_600_000;
/** Cool-down after a failed catch-up, doubled with each. The first is longer than an honest peer's restart. */
export const CATCH_UP_COOL_DOWN = { firstMs: 10 * 60_000, lastMs: 6 * 3_600_000 };
/** Cool-down after an attempt without progress, however many there were. */
export const NO_PROGRESS_COOL_DOWN_MS = 10 * 60_000;

interface Entry {
  readonly count: number;
  readonly lastMs: number;
  coolDownUntilMs: number;
}

type Entries = BoundedMap<string, Entry>;

/** Times are monotonic. */
export class FailedAttempts {
  private readonly catchUps: Entries = new BoundedMap({ max: MAX_PEERS });
  private readonly noProgress: Entries = new BoundedMap({ max: MAX_PEERS });
  /** The first peer that made no progress since our chain last grew, and whether others followed. */
  private streak: { readonly first: string; readonly hasOthers: boolean } | undefined;

  /** Number of remembered peers whose catch-up failed. */
  get catchUpPeers(): number {
    return this.catchUps.size;
  }

  /** Number of remembered peers that made no progress. */
  get noProgressPeers(): number {
    return this.noProgress.size;
  }

  of(peerId: string, nowMs: number): PeerAttempts {
    const [catchUp, noProgress] = [current(this.catchUps, peerId, nowMs), current(this.noProgress, peerId, nowMs)];
    return {
      failed: (catchUp?.count ?? 0) + (noProgress?.count ?? 0),
      coolDownUntilMs: Math.max(catchUp?.coolDownUntilMs ?? 0, noProgress?.coolDownUntilMs ?? 0),
    };
  }

  /** True during the cool-down after a failed catch-up. */
  isAtFault(peerId: string, nowMs: number): boolean {
    return nowMs < (current(this.catchUps, peerId, nowMs)?.coolDownUntilMs ?? 0);
  }

  /** A catch-up from the peer failed. */
  catchUpFailed(peerId: string, nowMs: number): void {
    const before = current(this.catchUps, peerId, nowMs)?.count ?? 0;
    add(this.catchUps, peerId, nowMs, backoffMs(CATCH_UP_COOL_DOWN, before + 1));
  }

  /**
   * The peer was asked and our chain did not grow. It gets a cool-down, unless other peers made no progress just
   * before: then our own block validation is the likely cause, and none of them gets one.
   */
  madeNoProgress(peerId: string, nowMs: number): void {
    const first = this.streak?.first ?? peerId;
    const hasOthers = this.streak?.hasOthers === true || first !== peerId;
    this.streak = { first, hasOthers };
    add(this.noProgress, peerId, nowMs, hasOthers ? 0 : NO_PROGRESS_COOL_DOWN_MS);
    if (!hasOthers) return;
    for (const [, entry] of this.noProgress.oldestFirst()) entry.coolDownUntilMs = 0;
  }

  /** The attempt ended before our chain grew, by no known fault of the peer: it counts, without a cool-down. */
  endedEarly(peerId: string, nowMs: number): void {
    add(this.noProgress, peerId, nowMs, 0);
  }

  /** Our chain has grown, whoever the blocks came from. */
  chainGrew(): void {
    this.streak = undefined;
  }

  /**
   * The peer delivered what it was asked for. If it had made no progress before, the cause was on our side, for the
   * other peers too.
   */
  delivered(peerId: string): void {
    if (this.noProgress.has(peerId)) this.noProgress.clear();
  }
}

function current(entries: Entries, peerId: string, nowMs: number): Entry | undefined {
  const entry = entries.get(peerId);
  return entry === undefined || nowMs - entry.lastMs > KEEP_MS ? undefined : entry;
}

function add(entries: Entries, peerId: string, nowMs: number, coolDownMs: number): void {
  const before = current(entries, peerId, nowMs);
  const coolDownUntilMs = Math.max(before?.coolDownUntilMs ?? 0, coolDownMs === 0 ? 0 : nowMs + coolDownMs);
  entries.set(peerId, { count: (before?.count ?? 0) + 1, lastMs: nowMs, coolDownUntilMs });
}
