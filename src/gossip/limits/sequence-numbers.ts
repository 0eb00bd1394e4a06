// Replays: old signed messages sent again after the seen cache has forgotten them. A sequence number starts at its
// author's start time and grows by one per message, so it does not tell a message's age; but a number below the
// author's highest, long after that highest was received, is old. One exception: a process that restarted with its
// clock set back.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';

/**
 * Messages overtake each other in a network by seconds; a message later than this was held back by somebody. The seen
 * cache remembers ids for twice as long, so a copy of a younger message never gets here.
 */
const OVERTAKING_MS = 60_000;
/** Authors remembered; an evicted author is unknown again, and its messages pass. */
export const MAX_AUTHORS = 20_000;

interface Heard {
  highest: bigint;
  /** Monotonic ms at which the highest was received. */
  atMs: number;
  /** The highest of at least a minute ago, and the next value of it once a minute has passed since `markMs`. */
  floor: bigint;
  mark: bigint;
  markMs: number;
  /**
   * Highest of a process that has restarted since. Up to this number, only the author itself is trusted to send new
   * messages.
   */
  before: bigint;
}

/** For an author that is our neighbour: monotonic ms at which its newest connection began; undefined when not known. */
export type ConnectedSince = () => number | undefined;

export class SequenceNumbers {
  private readonly clock: Clock;
  private readonly heard = new LRUCache<PeerId, Heard>({ max: MAX_AUTHORS });

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Authors remembered now. */
  get size(): number {
    return this.heard.size;
  }

  /**
   * Remembers the author's highest number. True for a number that the author passed at least a minute ago: the author
   * is not sending that message now. `connectedSinceMs` is given when the author itself sent the message. A connection
   * of the author that began after its highest number was received resets the numbers: a node that started while its
   * clock was ahead begins lower after a restart, and would not be heard until its clock had caught up.
   */
  isLate(author: PeerId, seqno: bigint, connectedSinceMs?: ConnectedSince): boolean {
    const now = this.clock.monotonic();
    const heard = this.heard.get(author);
    if (heard === undefined) return this.begin(author, seqno, now, -1n);
    const isLate = seqno <= heard.highest && (seqno <= heard.floor || now - heard.atMs >= OVERTAKING_MS);
    if (isLate && (connectedSinceMs?.() ?? Number.NEGATIVE_INFINITY) > heard.atMs)
      return this.begin(author, seqno, now, heard.highest > heard.before ? heard.highest : heard.before);
    if (seqno <= heard.highest) return isLate;
    if (seqno <= heard.before && connectedSinceMs === undefined) return true;
    if (now - heard.atMs >= OVERTAKING_MS) heard.mark = heard.highest;
    if (now - heard.markMs >= OVERTAKING_MS) {
      heard.floor = heard.mark;
      heard.mark = heard.highest;
      heard.markMs = now;
    }
    heard.highest = seqno;
    heard.atMs = now;
    return false;
  }

  private begin(author: PeerId, seqno: bigint, now: number, before: bigint): false {
    this.heard.set(author, { highest: seqno, atMs: now, floor: seqno, mark: seqno, markMs: now, before });
    return false;
  }

  /**
   * True for a message from more than a minute ago: at or below the highest number, when that was received over a
   * minute ago.
   */
  isReplay(author: PeerId, seqno: bigint): boolean {
    const heard = this.heard.get(author);
    if (heard === undefined || seqno > heard.highest) return false;
    return this.clock.monotonic() - heard.atMs >= OVERTAKING_MS;
  }

  /**
   * Called after `isLate`: whether the author may have passed this number long ago. Broader than `isReplay`, because
   * other numbers of the author may be fresh.
   */
  mayBeOld(author: PeerId, seqno: bigint): boolean {
    const heard = this.heard.get(author);
    if (heard === undefined || seqno >= heard.highest) return false;
    return seqno <= heard.floor || this.clock.monotonic() - heard.atMs >= OVERTAKING_MS;
  }

  /** Called after `isLate`: whether this is the author's highest number. */
  isHighest(author: PeerId, seqno: bigint): boolean {
    return this.heard.get(author)?.highest === seqno;
  }
}
