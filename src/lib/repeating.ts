// Periodic work without overlap: the next run is timed when the last has ended. One place, so that every loop stops the
// same way.

export interface Repeating {
  /** Runs soon instead of at the next interval; several calls before it runs count once. */
  wake(): void;
  /** Ends the loop; the run in hand sees its signal aborted. */
  stop(): void;
}

/**
 * Runs `task` after `firstMs`, then each `nextMs()` after the last run ended. A throw goes to `failed`, the loop goes
 * on.
 */
export function repeating(
  task: (signal: AbortSignal) => Promise<void>,
  times: { readonly firstMs: number; readonly nextMs: () => number },
  failed: (error: unknown) => void,
): Repeating {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  let again = false;
  const schedule = (ms: number) => {
    clearTimeout(timer);
    if (!controller.signal.aborted) timer = setTimeout(run, ms).unref();
  };
  const run = () => {
    running = true;
    again = false;
    task(controller.signal)
      .catch((error: unknown) => {
        if (!controller.signal.aborted) failed(error);
      })
      .finally(() => {
        running = false;
        schedule(again ? 0 : times.nextMs());
      });
  };
  schedule(times.firstMs);
  return {
    wake: () => {
      if (running) again = true;
      else schedule(0);
    },
    stop: () => {
      controller.abort();
      clearTimeout(timer);
    },
  };
}
