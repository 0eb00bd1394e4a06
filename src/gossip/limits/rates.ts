// Message rates per peer. The author's bucket comes first, after the signature was verified; only messages that pass it
// count against the propagation source, whose excess is nobody's offence. Late messages of an author have a bucket of
// their own.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../domain/ids.ts';
import { type Rate, TokenBucket } from '../../lib/token-bucket.ts';
import type { Clock } from '../../ports/clock.ts';

interface PeerRate {
  readonly bucket: TokenBucket;
  /** Monotonic ms at which the first message of the current excess was refused. */
  excessMs: number;
  /** Messages refused since then. */
  excess: number;
}

/**
 * `over_scored`: the first message above the rate in 5 s. `flood`: the message with which a whole 5 s of the rate were
 * refused within 5 s.
 */
export type RateResult = 'ok' | 'over' | 'over_scored' | 'flood';

/**
 * Peers remembered; the one used longest ago is evicted. It would begin with a full bucket, which time has filled by
 * then anyway.
 */
export const MAX_BUCKETS = 20_000;
/** A peer that stays above its rate is scored once per this time, as a flood once more. */
const SCORE_INTERVAL_MS = 5000;

export class PeerRates {
  private readonly clock: Clock;
  private readonly rate: Rate;
  private readonly floodExcess: number;
  private readonly peers = new LRUCache<PeerId, PeerRate>({ max: MAX_BUCKETS });

  constructor(clock: Clock, rate: Rate) {
    this.clock = clock;
    this.rate = rate;
    this.floodExcess = Math.max(2, Math.ceil((rate.perSecond * SCORE_INTERVAL_MS) / 1000));
  }

  /** Number of peers that have a bucket. */
  get size(): number {
    return this.peers.size;
  }

  /** Takes a token, if there is one. */
  take(peerId: PeerId): RateResult {
    if (this.rate.perSecond === 0) return 'ok';
    const nowMs = this.clock.monotonic();
    let peer = this.peers.get(peerId);
    if (peer === undefined) {
      peer = { bucket: new TokenBucket(this.rate, nowMs), excessMs: Number.NEGATIVE_INFINITY, excess: 0 };
      this.peers.set(peerId, peer);
    }
    if (peer.bucket.take(nowMs)) return 'ok';
    if (nowMs - peer.excessMs >= SCORE_INTERVAL_MS) {
      peer.excessMs = nowMs;
      peer.excess = 1;
      return 'over_scored';
    }
    peer.excess += 1;
    return peer.excess === this.floodExcess ? 'flood' : 'over';
  }
}
