// Tests wait for a condition, never for a time.

export interface WaitOptions {
  readonly timeoutMs?: number;
  /** What was awaited, for the error. */
  readonly what: string;
}

/**
 * Resolves with the first value that is neither undefined nor false; throws after the timeout with what was awaited.
 */
export async function waitFor<T>(
  probe: () => T | Promise<T>,
  options: WaitOptions,
): Promise<Exclude<T, undefined | false>> {
  const until = performance.now() + (options.timeoutMs ?? 30_000);
  let last: unknown;
  for (let pauseMs = 5; ; pauseMs = Math.min(100, pauseMs * 1.5)) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > until) throw new Error(`waited in vain for ${options.what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
