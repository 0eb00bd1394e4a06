// How many messages an author, and a neighbour, may bring: token buckets. The author's comes first, charged after its signature was verified;
// only what passes it counts against the neighbour, whose excess is nobody's offence. Old messages of an author have a bucket apart, a tenth of its own.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';

export interface Rate {
  /** Messages a second; 0: no limit. */
  readonly perSecond: number;
  /** Messages at once. */
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
  /** Monotonic ms of the last time that its excess was scored. */
  scoredMs: number;
}

/** Buckets kept; the one used longest ago leaves and would begin full again, which its time has filled anyway. */
export const MAX_BUCKETS = 20_000;
/** An author that stays above its limit is scored once in this time. */
const SCORE_INTERVAL_MS = 5000;

export class TokenBuckets {
  private readonly clock: Clock;
  private readonly rate: Rate;
  private readonly buckets = new LRUCache<PeerId, Bucket>({ max: MAX_BUCKETS });

  constructor(clock: Clock, rate: Rate) {
    this.clock = clock;
    this.rate = rate;
  }

  /** Peers that have a bucket. */
  get size(): number {
    return this.buckets.size;
  }

  /** Takes a token. `over_scored`: there was none, and 5 s have passed since that was last said of this peer. */
  take(peerId: PeerId): 'ok' | 'over' | 'over_scored' {
    const { perSecond, burst } = this.rate;
    if (perSecond === 0) return 'ok';
    const now = this.clock.monotonic();
    let bucket = this.buckets.get(peerId);
    if (bucket === undefined) {
      bucket = { tokens: burst, atMs: now, scoredMs: Number.NEGATIVE_INFINITY };
      this.buckets.set(peerId, bucket);
    }
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.atMs) / 1000) * perSecond);
    bucket.atMs = now;
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return 'ok';
    }
    if (now - bucket.scoredMs < SCORE_INTERVAL_MS) return 'over';
    bucket.scoredMs = now;
    return 'over_scored';
  }
}
