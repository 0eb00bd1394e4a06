// Old signed messages played again after the seen-cache has forgotten them. A sequence number starts at its author's start time and grows by
// one a message: it says nothing of a message's age, but one below an author's highest, long after that highest passed, was said before.
import { LRUCache } from 'lru-cache';
import type { Clock } from '../ports/clock.ts';
import type { PeerId } from '../wire/ids.ts';
import { unwatched, type WatchSize } from './watch-size.ts';

/** Messages overtake one another on their ways through a network, by seconds; what is later than this was kept by somebody. */
const OVERTAKING_MS = 60_000;
/** Authors remembered; one that was forgotten is unknown again, and passes. */
const MAX_AUTHORS = 20_000;

/** True for a message that was heard, or could have been heard, more than a minute ago; remembers each author's highest number. */
export function replays(clock: Clock, watch: WatchSize = unwatched): (author: PeerId, seqno: bigint) => boolean {
  const highest = new LRUCache<PeerId, { seqno: bigint; passedMs: number }>({ max: MAX_AUTHORS });
  watch('replay', () => highest.size, MAX_AUTHORS);
  return (author, seqno) => {
    const known = highest.get(author);
    const now = clock.monotonic();
    if (known === undefined) {
      highest.set(author, { seqno, passedMs: now });
      return false;
    }
    if (seqno <= known.seqno) return now - known.passedMs >= OVERTAKING_MS;
    known.seqno = seqno;
    known.passedMs = now;
    return false;
  };
}
