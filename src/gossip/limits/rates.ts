// Rates per peer: messages, their bytes, and the time that slow ones took. The author's buckets come first, after the
// signature was verified; only messages that pass them count against the propagation source, whose excess is nobody's
// offence. Late messages of an author have buckets of their own.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../domain/ids.ts';
import { type Rate, TokenBucket } from '../../lib/token-bucket.ts';
import type { Clock } from '../../ports/clock.ts';

interface PeerRate {
  readonly messages: TokenBucket;
  readonly bytes: TokenBucket;
  /** Milliseconds; undefined until the peer had a slow message. */
  time: TokenBucket | undefined;
  /** Monotonic ms at which the first message of the current excess was refused. */
  excessMs: number;
  /** Messages refused since then. */
  excess: number;
  /** Monotonic ms at which an excess of bytes was last reported as `bytes_scored`. */
  bytesScoredMs: number;
}

/**
 * What is used up. `over_scored`, `bytes_scored`: the first such message in 5 s. `flood`: the message with which a whole
 * 5 s of the rate were refused within 5 s.
 */
export type Excess = 'over' | 'over_scored' | 'flood' | 'bytes' | 'bytes_scored' | 'time';

/** The same without what may be penalized. */
export function unscored(excess: Excess): 'over' | 'bytes' | 'time' {
  if (excess === 'time') return excess;
  return excess === 'bytes' || excess === 'bytes_scored' ? 'bytes' : 'over';
}

/**
 * Peers remembered; the one used longest ago is evicted. It would begin with full buckets, which time has filled by
 * then anyway.
 */
export const MAX_BUCKETS = 20_000;
export const UNLIMITED: Rate = { perSecond: 0, burst: 0 };
/** A peer that stays above its rate is scored once per this time, as a flood once more. */
const SCORE_INTERVAL_MS = 5000;
/**
 * Milliseconds per second that the slow messages of one peer may take: half of the event loop, and five seconds at
 * once, so that a loaded machine or a garbage collection stops nobody.
 */
const TIME: Rate = { perSecond: 500, burst: 5000 };
/** A message takes some 50 µs. Only one that takes longer than this is charged. */
export const SLOW_MESSAGE_MS = 0.2;
/** No message takes longer by itself: the rest is a pause of the machine. */
const MAX_CHARGE_MS = 100;

export class PeerRates {
  private readonly clock: Clock;
  private readonly rate: Rate;
  private readonly floodExcess: number;
  private readonly byteRate: Rate;
  private readonly peers = new LRUCache<PeerId, PeerRate>({ max: MAX_BUCKETS });

  constructor(clock: Clock, rate: Rate, byteRate: Rate = UNLIMITED) {
    this.clock = clock;
    this.rate = rate;
    this.floodExcess = Math.max(2, Math.ceil((rate.perSecond * SCORE_INTERVAL_MS) / 1000));
    this.byteRate = byteRate;
  }

  /** Number of peers that have buckets. */
  get size(): number {
    return this.peers.size;
  }

  /** Takes a token for a message, and one for each byte, if any. The last message may exceed what is left. */
  take(peerId: PeerId, bytes = 0): 'ok' | Excess {
    const nowMs = this.clock.monotonic();
    const peer = this.peerOf(peerId, nowMs);
    if (peer === undefined) return 'ok';
    if (!peer.messages.take(nowMs)) return this.excess(peer, nowMs);
    if (bytes > 0 && this.byteRate.perSecond > 0) {
      if (peer.bytes.available(nowMs) <= 0) return excessOfBytes(peer, nowMs);
      peer.bytes.charge(bytes);
    }
    return peer.time !== undefined && peer.time.available(nowMs) <= 0 ? 'time' : 'ok';
  }

  private excess(peer: PeerRate, nowMs: number): Excess {
    if (nowMs - peer.excessMs >= SCORE_INTERVAL_MS) {
      peer.excessMs = nowMs;
      peer.excess = 1;
      return 'over_scored';
    }
    peer.excess += 1;
    return peer.excess === this.floodExcess ? 'flood' : 'over';
  }

  /** Charges the time that a message of this peer took. */
  charge(peerId: PeerId, ms: number): void {
    const nowMs = this.clock.monotonic();
    const peer = this.peers.get(peerId) ?? this.add(peerId, nowMs);
    peer.time ??= new TokenBucket(TIME, nowMs);
    peer.time.charge(Math.min(ms, MAX_CHARGE_MS));
  }

  /** undefined for a peer without any limit. */
  private peerOf(peerId: PeerId, nowMs: number): PeerRate | undefined {
    const known = this.peers.get(peerId);
    if (known !== undefined) return known;
    return this.rate.perSecond === 0 && this.byteRate.perSecond === 0 ? undefined : this.add(peerId, nowMs);
  }

  private add(peerId: PeerId, nowMs: number): PeerRate {
    const messages = new TokenBucket(this.rate, nowMs);
    const bytes = new TokenBucket(this.byteRate, nowMs);
    const never = Number.NEGATIVE_INFINITY;
    const peer: PeerRate = { messages, bytes, time: undefined, excessMs: never, excess: 0, bytesScoredMs: never };
    this.peers.set(peerId, peer);
    return peer;
  }
}

function excessOfBytes(peer: PeerRate, nowMs: number): Excess {
  if (nowMs - peer.bytesScoredMs < SCORE_INTERVAL_MS) return 'bytes';
  peer.bytesScoredMs = nowMs;
  return 'bytes_scored';
}
