// A question to a service that may answer late or never: not put again while the last one is open, so that a service that hangs is asked once.
import { P2PError } from '../lib/errors.ts';

export class Question<T> {
  private readonly ask: () => Promise<T>;
  private readonly deadlineMs: number;
  private open: Promise<T> | undefined;

  constructor(ask: () => Promise<T>, deadlineMs: number) {
    this.ask = ask;
    this.deadlineMs = deadlineMs;
  }

  /** The answer; that to the question which is still open, if there is one. Throws TIMEOUT, and what the service throws. */
  async answer(): Promise<T> {
    this.open ??= this.ask().finally(() => {
      this.open = undefined;
    });
    return await withDeadline(this.open, this.deadlineMs);
  }
}

/** Settles as `work` does, or throws TIMEOUT. */
export async function withDeadline<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new P2PError('TIMEOUT', `no answer within ${deadlineMs} ms`)), deadlineMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
