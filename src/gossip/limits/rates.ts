// Message rates per peer. The author's bucket comes first, after the signature was verified; only messages that pass it
// count against the propagation source, whose excess is nobody's offence. Late messages of an author have a bucket of
// their own.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../domain/ids.ts';
import { type Rate, TokenBucket } from '../../lib/token-bucket.ts';
import type { Clock } from '../../ports/clock.ts';

interface PeerRate {
  readonly bucket: TokenBucket;
  /** Monotonic ms at which an excess was last reported as `over_scored`. */
  scoredMs: number;
}

/**
 * Peers remembered; the one used longest ago is evicted. It would begin with a full bucket, which time has filled by
 * then anyway.
 */
export const MAX_BUCKETS = 20_000;
/** A peer that stays above its rate is scored once per this time. */
const SCORE_INTERVAL_MS = 5000;

export class PeerRates {
  private readonly clock: Clock;
  private readonly rate: Rate;
  private readonly peers = new LRUCache<PeerId, PeerRate>({ max: MAX_BUCKETS });

  constructor(clock: Clock, rate: Rate) {
    this.clock = clock;
    this.rate = rate;
  }

  /** Number of peers that have a bucket. */
  get size(): number {
    return this.peers.size;
  }

  /** Takes a token. `over_scored`: there was none, and the last `over_scored` for this peer was at least 5 s ago. */
  take(peerId: PeerId): 'ok' | 'over' | 'over_scored' {
    if (this.rate.perSecond === 0) return 'ok';
    const nowMs = this.clock.monotonic();
    let peer = this.peers.get(peerId);
    if (peer === undefined) {
      peer = { bucket: new TokenBucket(this.rate, nowMs), scoredMs: Number.NEGATIVE_INFINITY };
      this.peers.set(peerId, peer);
    }
    if (peer.bucket.take(nowMs)) return 'ok';
    if (nowMs - peer.scoredMs < SCORE_INTERVAL_MS) return 'over';
    peer.scoredMs = nowMs;
    return 'over_scored';
  }
}
