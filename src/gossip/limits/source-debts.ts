// What a neighbour pays for messages of others that cost their authors points: tokens, never points, because it forwards
// everything unchecked. A neighbour without tokens is heard only with its own messages and with those of authors of whom
// something good is known: a flood of fresh identities that comes through it ends here, and nobody else is silenced.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../domain/ids.ts';
import { TokenBucket } from '../../lib/token-bucket.ts';
import type { Clock } from '../../ports/clock.ts';
import { type ReportSize, unreported } from './report-size.ts';

/** Messages at a cost that a neighbour may bring: a node of the network meets some per hour. */
const RATE = { perSecond: 1, burst: 100 };
/** Neighbours remembered; the one charged least recently is evicted and starts with a full bucket. */
const MAX_NEIGHBOURS = 5000;

export class SourceDebts {
  private readonly clock: Clock;
  private readonly buckets = new LRUCache<PeerId, TokenBucket>({ max: MAX_NEIGHBOURS });

  constructor(clock: Clock, reportSize: ReportSize = unreported) {
    this.clock = clock;
    reportSize('relay_debt', () => this.buckets.size, MAX_NEIGHBOURS);
  }

  /** The neighbour brought a message that cost its author points. */
  charge(receivedFrom: PeerId): void {
    const nowMs = this.clock.monotonic();
    const bucket = this.buckets.get(receivedFrom) ?? new TokenBucket(RATE, nowMs);
    this.buckets.set(receivedFrom, bucket);
    bucket.take(nowMs);
  }

  /** Whether the neighbour has no token left. */
  isInDebt(receivedFrom: PeerId): boolean {
    const bucket = this.buckets.peek(receivedFrom);
    return bucket !== undefined && bucket.available(this.clock.monotonic()) < 1;
  }
}
