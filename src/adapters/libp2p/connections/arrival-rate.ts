// How fast connections come from an address. A handshake costs us up to 20 ms, and whoever begins it a fraction of that: fifty a second, ended as soon as they are made,
// would take all of the time that there is.
import { LRUCache } from 'lru-cache';
import type { Metrics } from '../../../ports/metrics.ts';

/** Many nodes may stand behind one address, and come at once after it was away. */
export const ARRIVALS_AT_ONCE = 200;
/** A fifth of the time; whoever is refused comes again. */
const ARRIVALS_A_SECOND = 10;
/** One that leaves begins full again. */
const MAX_ADDRESSES = 10_000;

export class ArrivalRate {
  private readonly nowMs: () => number;
  private readonly buckets = new LRUCache<string, { tokens: number; atMs: number }>({ max: MAX_ADDRESSES });

  constructor(deps: { readonly nowMs: () => number; readonly metrics: Metrics }) {
    this.nowMs = deps.nowMs;
    deps.metrics.gauge(
      'teranode_p2p_arriving_addresses',
      'Addresses that connected to us lately',
      () => this.buckets.size,
    );
    deps.metrics.gauge(
      'teranode_p2p_arriving_addresses_bound',
      'Such addresses remembered at most',
      () => MAX_ADDRESSES,
    );
  }

  /** False when too many came from there; `group` is who shares the bound, undefined who has none. */
  take(group: string | undefined): boolean {
    if (group === undefined) return true;
    const nowMs = this.nowMs();
    const { tokens, atMs } = this.buckets.get(group) ?? { tokens: ARRIVALS_AT_ONCE, atMs: nowMs };
    const filled = Math.min(ARRIVALS_AT_ONCE, tokens + ((nowMs - atMs) / 1000) * ARRIVALS_A_SECOND);
    const isAllowed = filled >= 1;
    this.buckets.set(group, { tokens: isAllowed ? filled - 1 : filled, atMs: nowMs });
    return isAllowed;
  }
}
