// Deadlines for work that others do: every wait on a service, a peer or a part has one. The work itself is not
// cancelled; pass a signal for that.
import pTimeout from 'p-timeout';
import { P2PError } from './errors.ts';

/**
 * Settles as `work` does. Throws TIMEOUT after `deadlineMs`; `what` begins its message ("no answer" becomes "no answer
 * within 2000 ms").
 */
export async function withDeadline<T>(work: Promise<T>, deadlineMs: number, what = 'no answer'): Promise<T> {
  const milliseconds = Math.max(0, deadlineMs);
  const late = () => new P2PError('TIMEOUT', `${what} within ${Math.round(milliseconds)} ms`);
  return await pTimeout(work, {
    milliseconds,
    fallback: () => {
      throw late();
    },
  });
}

/** Settles as `work` does, or resolves with `fallback` after `deadlineMs`. */
export async function orAfter<T, F>(work: Promise<T>, deadlineMs: number, fallback: F): Promise<T | F> {
  return await pTimeout(work, { milliseconds: Math.max(0, deadlineMs), fallback: () => fallback });
}

/** Resolves when all have settled, however they did, or after `deadlineMs`. True when all were in time. For stops. */
export async function settledWithin(works: Iterable<Promise<unknown>>, deadlineMs: number): Promise<boolean> {
  const all = Promise.allSettled(works).then(() => true);
  return await orAfter(all, deadlineMs, false);
}
