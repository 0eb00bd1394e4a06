// Deletes ended bans and expired scores from the store: in batches with pauses, concurrently with the writes, so that a
// large backlog delays nothing. What fails is left for the next run.

import { pause } from '../../lib/pause.ts';
import { singleFlight } from '../../lib/single-flight.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { StoreLink } from './store-link.ts';

/**
 * Minimum pause between two batches. Otherwise it is twice as long as the batch took, so that a purge takes a third of
 * one core.
 */
const PAUSE_MS = 20;
const PAUSE_FACTOR = 2;

export class StorePurge {
  private readonly deps: { readonly link: StoreLink; readonly clock: Clock; readonly log: Logger };
  private readonly stopped = new AbortController();

  constructor(deps: { readonly link: StoreLink; readonly clock: Clock; readonly log: Logger }) {
    this.deps = deps;
  }

  /** Begins a run, unless one is in progress or the store is unavailable. */
  start(): void {
    if (!this.stopped.signal.aborted && this.deps.link.isUp) void this.run();
  }

  /** Resolves after the current batch; may be called twice. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await this.run();
  }

  private readonly run = singleFlight(async () => {
    const { link, clock, log } = this.deps;
    const { signal } = this.stopped;
    try {
      while (!signal.aborted) {
        const startedMs = clock.monotonic();
        if ((await link.store.purge(clock.now())) === 'done') return;
        await pause(Math.max(PAUSE_MS, PAUSE_FACTOR * (clock.monotonic() - startedMs)), signal);
      }
    } catch (error) {
      log.debug({ err: error }, 'failed to purge the ban store');
    }
  });
}
