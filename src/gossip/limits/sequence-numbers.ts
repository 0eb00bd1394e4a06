// Old signed messages played again after the seen-cache has forgotten them: they are no news, and their author does not send them. A sequence
// number starts at its author's start time and grows by one a message: it says nothing of a message's age, but one below an author's highest,
// long after that highest was heard, was said before. One exception: a process that restarted with its clock set back.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';

/**
 * Messages overtake one another on their ways through a network, by seconds; what is later than this was kept by somebody. Twice as long is what
 * the seen-cache holds: a copy of anything younger never comes here.
 */
const OVERTAKING_MS = 60_000;
/** Authors remembered; one that was forgotten is unknown again, and passes. */
export const MAX_AUTHORS = 20_000;

interface Heard {
  highest: bigint;
  /** Monotonic ms at which the highest was heard. */
  atMs: number;
  /** The highest of at least a minute ago, and what will be it when a minute has passed since `markMs`. */
  floor: bigint;
  mark: bigint;
  markMs: number;
  /** Highest of a process that restarted since: up to it, only the author itself is known to say something new. */
  before: bigint;
}

/** Of an author that is our neighbour: monotonic ms at which its newest connection to us began; undefined: not known. */
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
   * Remembers the author's highest number; `connectedSinceMs` at first hand only, asked when it matters. True for one that the author passed a minute ago or more, as far as is known: whoever hands over such
   * a message now, the author is not saying it now. Not so on a connection of the author's own that began after its highest number was heard:
   * a node that started while its clock was ahead begins lower at its next start, and would be silent until its clock had made up for it.
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

  /** True for a message that was heard, or could have been heard, more than a minute ago: below a highest that nothing followed since. */
  isReplay(author: PeerId, seqno: bigint): boolean {
    const heard = this.heard.get(author);
    if (heard === undefined || seqno > heard.highest) return false;
    return this.clock.monotonic() - heard.atMs >= OVERTAKING_MS;
  }
}
