// How often an address may give a wrong admin key: guessing is bounded whatever the rate of requests may be.
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../ports/clock.ts';

/** A person who looks for the right one needs a few. */
const MAX_WRONG_KEYS = 10;
const WINDOW_MS = 60_000;
/** Addresses remembered; when there are more, the one that tried longest ago is evicted. */
const MAX_ADDRESSES = 10_000;

export class WrongKeys {
  /** A minute from the first one of an address. */
  private readonly counts: LRUCache<string, number>;

  constructor(deps: { readonly clock: Clock }) {
    this.counts = new LRUCache({
      max: MAX_ADDRESSES,
      ttl: WINDOW_MS,
      noUpdateTTL: true,
      ttlResolution: 0,
      perf: { now: () => deps.clock.monotonic() },
    });
  }

  /** Seconds until this address may try again; undefined when it may now. */
  blockedSeconds(address: string): number | undefined {
    if ((this.counts.get(address) ?? 0) < MAX_WRONG_KEYS) return undefined;
    return Math.max(1, Math.ceil(this.counts.getRemainingTTL(address) / 1000));
  }

  /** Whether this one was the last that is allowed. */
  add(address: string): boolean {
    const count = (this.counts.get(address) ?? 0) + 1;
    this.counts.set(address, count);
    return count === MAX_WRONG_KEYS;
  }
}
