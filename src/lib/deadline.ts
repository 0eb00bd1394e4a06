// An end for what others promise: none of it may hold up the handshake.
import { P2PError } from '../lib/errors.ts';

/** Settles as `work` does, or throws TIMEOUT; what `work` does later is nobody's concern. */
export async function withDeadline<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new P2PError('TIMEOUT', `not done within ${deadlineMs} ms`)), deadlineMs);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
