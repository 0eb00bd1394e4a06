// How many of our rejected transactions are announced: a validator may reject thousands per second, and no peer needs
// them all.
import { LRUCache } from 'lru-cache';
import type { Hash } from '../../domain/ids.ts';
import { type Rate, TokenBucket } from '../../lib/token-bucket.ts';
import type { Clock } from '../../ports/clock.ts';
import { gaugeWithBound, type Metrics } from '../../ports/metrics.ts';

/** A transaction is announced once per this time. */
const REPEAT_MS = 30_000;
/** Transactions remembered; the one announced longest ago is evicted and may be announced again. */
const MAX_REMEMBERED = 10_000;

export class RejectedTxLimits {
  private readonly clock: Clock;
  private readonly bucket: TokenBucket;
  /** Monotonic ms of the announcement. */
  private readonly announced = new LRUCache<Hash, number>({ max: MAX_REMEMBERED });

  /** `rate`: `p2p_rejected_tx_publish_rate` and `p2p_rejected_tx_publish_burst`. */
  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics }, rate: Rate) {
    this.clock = deps.clock;
    this.bucket = new TokenBucket(rate, deps.clock.monotonic());
    const help = 'Announced rejected transactions that are remembered, so that none is announced again soon';
    const gauge = { name: 'teranode_p2p_rejected_tx_remembered', help };
    gaugeWithBound(deps.metrics, gauge, () => this.announced.size, MAX_REMEMBERED);
  }

  /** Takes a turn to announce; else why there is none. */
  take(txId: Hash): 'ok' | 'repeated' | 'rate' {
    const nowMs = this.clock.monotonic();
    const lastMs = this.announced.get(txId);
    if (lastMs !== undefined && nowMs - lastMs < REPEAT_MS) return 'repeated';
    if (!this.bucket.take(nowMs)) return 'rate';
    this.announced.set(txId, nowMs);
    return 'ok';
  }

  /** The announcement failed: the transaction may be announced again at once. */
  forget(txId: Hash): void {
    this.announced.delete(txId);
  }
}
