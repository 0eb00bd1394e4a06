// Handles SIGTERM and SIGINT of `teranode-p2p start`, `listen` and `devnet` before anything else is loaded: a requested stop is not
// a failure, however early it is requested. main.ts imports this first and loads the rest on demand.

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
/** Under npm, Ctrl-C arrives twice, from the terminal and from npm: signals this close count as one. */
const SAME_SIGNAL_MS = 1000;

const controller = new AbortController();
let phase: 'nothing to stop' | 'running' | 'stopped' = 'nothing to stop';
let firstAtMs = 0;

function signalled(): void {
  if (phase !== 'running') process.exit(0);
  if (!controller.signal.aborted) firstAtMs = performance.now();
  // A second request: the stop takes too long for the user.
  else if (performance.now() - firstAtMs > SAME_SIGNAL_MS) process.exit(1);
  controller.abort();
}

if (['start', 'listen', 'devnet'].includes(process.argv[2] ?? '')) {
  for (const name of SIGNALS) {
    // The entry of the published package has its own listener until now. Ours is added before that is removed, so that
    // no signal is lost.
    const earlier = process.listeners(name);
    process.on(name, signalled);
    for (const listener of earlier) process.removeListener(name, listener);
  }
}

/** From now on a signal aborts the returned AbortSignal instead of ending the process. */
export function stopSignal(): AbortSignal {
  phase = 'running';
  return controller.signal;
}

/** Everything is stopped: a further signal ends the process. */
export function stopDone(): void {
  phase = 'stopped';
}
