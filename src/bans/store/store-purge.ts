// Forgets in the store what ended: a batch at a time, with pauses, and beside the writes, so that however much there is neither they nor anything
// else waits for it. What fails is left for the next time.

import { pause } from '../../lib/pause.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { StoreLink } from './store-link.ts';

/** Between two batches: twice as long as the batch took, so that a purge takes a third of one core; at least this. */
const PAUSE_MS = 20;
const PAUSE_FACTOR = 2;

export class StorePurge {
  private readonly deps: { readonly link: StoreLink; readonly clock: Clock; readonly log: Logger };
  private readonly stopped = new AbortController();
  private running: Promise<void> | undefined;

  constructor(deps: { readonly link: StoreLink; readonly clock: Clock; readonly log: Logger }) {
    this.deps = deps;
  }

  /** Nothing while one is under way, or while the store is away. */
  start(): void {
    if (this.stopped.signal.aborted || !this.deps.link.isUp) return;
    this.running ??= this.run().finally(() => {
      this.running = undefined;
    });
  }

  /** Ends after the batch in hand; may be called twice. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { link, clock, log } = this.deps;
    const { signal } = this.stopped;
    try {
      while (!signal.aborted) {
        const startedMs = clock.monotonic();
        if ((await link.store.purge(clock.now())) === 'done') return;
        await pause(Math.max(PAUSE_MS, PAUSE_FACTOR * (clock.monotonic() - startedMs)), signal);
      }
    } catch (error) {
      log.debug({ err: error }, 'store of bans not purged to the end');
    }
  }
}
