// Single flight: however many callers ask at once, the work runs once and all share its result.

/** A function that runs `work`, or joins the run that has not settled yet. */
export function singleFlight<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= work().finally(() => {
      running = undefined;
    });
    return running;
  };
}
