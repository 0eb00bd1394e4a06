// Token buckets: a rate with a burst. Times are monotonic ms and come from the caller, so tests move them.
import { LRUCache } from 'lru-cache';

export interface Rate {
  /** Tokens per second; 0: no limit. */
  readonly perSecond: number;
  /** Tokens of a full bucket. */
  readonly burst: number;
}

export class TokenBucket {
  private readonly rate: Rate;
  private tokens: number;
  private atMs: number;

  constructor(rate: Rate, nowMs: number) {
    this.rate = rate;
    this.tokens = rate.burst;
    this.atMs = nowMs;
  }

  /** Takes `cost` tokens if there are as many; false and unchanged otherwise. */
  take(nowMs: number, cost = 1): boolean {
    if (this.rate.perSecond === 0) return true;
    if (this.available(nowMs) < cost) return false;
    this.tokens -= cost;
    return true;
  }

  /** Tokens in the bucket. Below 0 after `charge`, until the debt is refilled. */
  available(nowMs: number): number {
    const { perSecond, burst } = this.rate;
    this.tokens = Math.min(burst, this.tokens + (Math.max(0, nowMs - this.atMs) / 1000) * perSecond);
    this.atMs = nowMs;
    return this.tokens;
  }

  /** For work whose cost is known only afterwards: takes the tokens even where there are not as many. */
  charge(cost: number): void {
    this.tokens -= cost;
  }
}

/** One bucket per key, at most `max`; the key used longest ago is forgotten and would begin full again. */
export class TokenBuckets<K extends {}> {
  readonly max: number;
  private readonly rate: Rate;
  private readonly buckets: LRUCache<K, TokenBucket>;

  constructor(rate: Rate, max: number) {
    this.rate = rate;
    this.max = max;
    this.buckets = new LRUCache({ max });
  }

  get size(): number {
    return this.buckets.size;
  }

  take(key: K, nowMs: number, cost = 1): boolean {
    return this.rate.perSecond === 0 || this.get(key, nowMs).take(nowMs, cost);
  }

  /** The bucket of a key, a full one for a new key. */
  get(key: K, nowMs: number): TokenBucket {
    let bucket = this.buckets.get(key);
    if (bucket === undefined) {
      bucket = new TokenBucket(this.rate, nowMs);
      this.buckets.set(key, bucket);
    }
    return bucket;
  }
}
