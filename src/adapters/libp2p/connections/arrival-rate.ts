// How fast connections arrive from one address. A handshake costs this node up to 20 ms and its initiator a fraction of
// that: fifty per second, closed as soon as they are made, would take all of the CPU.
import { TokenBuckets } from '../../../lib/token-bucket.ts';
import { gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';

/** Many nodes may share an address and return together after it was down. */
export const ARRIVALS_BURST = 200;
/** A fifth of one core. A refused node tries again. */
const ARRIVALS_PER_SECOND = 10;
const MAX_ADDRESSES = 10_000;

export class ArrivalRate {
  private readonly nowMs: () => number;
  private readonly buckets = new TokenBuckets<string>(
    { perSecond: ARRIVALS_PER_SECOND, burst: ARRIVALS_BURST },
    MAX_ADDRESSES,
  );

  constructor(deps: { readonly nowMs: () => number; readonly metrics: Metrics }) {
    this.nowMs = deps.nowMs;
    const gauge = { name: 'teranode_p2p_arriving_addresses', help: 'Remote addresses that connected recently' };
    gaugeWithBound(deps.metrics, gauge, () => this.buckets.size, MAX_ADDRESSES);
  }

  /**
   * False when too many connections came from the group lately. `group`: see `addressGroup`; undefined is never
   * limited.
   */
  take(group: string | undefined): boolean {
    return group === undefined || this.buckets.take(group, this.nowMs());
  }
}
