// SIGTERM and SIGINT of `teranode-p2p start`, from before anything else is loaded: being told to stop is no failure, however early it
// comes. Main imports this first and loads the rest when it is needed.

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
/** Ctrl-C below npm comes twice, from the terminal and from npm: signals this close are one. */
const SAME_SIGNAL_MS = 1000;

const controller = new AbortController();
let phase: 'nothing to stop' | 'running' | 'stopped' = 'nothing to stop';
let firstAtMs = 0;

function signalled(): void {
  if (phase !== 'running') process.exit(0);
  if (!controller.signal.aborted) firstAtMs = performance.now();
  // Somebody insists: the stop is taking too long for them.
  else if (performance.now() - firstAtMs > SAME_SIGNAL_MS) process.exit(1);
  controller.abort();
}

if (process.argv[2] === 'start') {
  for (const name of SIGNALS) {
    // The entry of the published package had one of its own until now. Ours first: without any, a signal on its way would be lost.
    const earlier = process.listeners(name);
    process.on(name, signalled);
    for (const listener of earlier) process.removeListener(name, listener);
  }
}

/** From now on there is something to stop: a signal aborts this instead of ending the process. */
export function stopSignal(): AbortSignal {
  phase = 'running';
  return controller.signal;
}

/** All is stopped: a further signal ends what little is left. */
export function stopDone(): void {
  phase = 'stopped';
}
