// Starts a list of parts in order and stops them in reverse. Each part has a stop budget of its own, so that a slow
// part never takes the time of another: what Kafka producers accepted is flushed however long the network takes.

import { orAfter, withDeadline } from '../lib/deadline.ts';
import type { Logger } from '../ports/log.ts';

/** Something that runs between start and stop. */
export interface Part {
  /** For logs. */
  readonly name: string;
  /** Resolves when the part runs. Should give up soon after `signal` aborts. */
  start?(signal: AbortSignal): unknown;
  /** May be called while `start` is still pending, and again after it has settled. */
  stop?(): unknown;
  /** How long the shutdown waits for this part. */
  readonly budgetMs: number;
}

/** A part from something that starts, stops, or both. */
export function part(name: string, runs: Pick<Part, 'start' | 'stop'>, budgetMs: number): Part {
  return { name, budgetMs, start: (signal) => runs.start?.(signal), stop: () => runs.stop?.() };
}

/** A part that takes longer to start is named in the log, and again after each such time. */
const SLOW_START_MS = 10_000;

/** Budget of parts that only clear timers and subscriptions. */
export const INSTANT_MS = 10;

interface Started {
  readonly part: Part;
  /** Never rejects. */
  readonly settled: Promise<true>;
}

export class Lifecycle {
  private readonly log: Logger;
  private readonly parts: readonly Part[];
  private readonly ended = new AbortController();
  private readonly started: Started[] = [];
  private stopping: Promise<void> | undefined;

  constructor(deps: { readonly log: Logger }, parts: readonly Part[]) {
    this.log = deps.log;
    this.parts = parts;
  }

  /** Resolves when all parts run. When one fails or `signal` aborts, stops those that were started and throws. */
  async start(signal: AbortSignal): Promise<void> {
    const whole = AbortSignal.any([signal, this.ended.signal]);
    try {
      for (const part of this.parts) {
        whole.throwIfAborted();
        await this.startPart(part, whole);
      }
      whole.throwIfAborted();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops the started parts in reverse; never throws. May be called twice, and while `start` is pending. */
  stop(): Promise<void> {
    this.stopping ??= this.stopAll();
    return this.stopping;
  }

  private async startPart(part: Part, signal: AbortSignal): Promise<void> {
    const starting = (async () => await part.start?.(signal))();
    const settled = starting.then(
      () => true as const,
      () => true as const,
    );
    this.started.push({ part, settled });
    let seconds = 0;
    const slow = setInterval(() => {
      seconds += SLOW_START_MS / 1000;
      this.log.info({ part: part.name, seconds }, 'still starting');
    }, SLOW_START_MS);
    // A start that never settles must neither keep the process nor be named after its stop.
    slow.unref();
    signal.addEventListener('abort', () => clearInterval(slow), { once: true });
    try {
      await starting;
    } finally {
      clearInterval(slow);
      // The shutdown may have stopped this part before its start settled.
      if (signal.aborted) await stopPart(part, part.budgetMs, this.log);
    }
  }

  private async stopAll(): Promise<void> {
    this.ended.abort();
    for (const { part, settled } of this.started.toReversed()) {
      // A start that is under way sees its signal aborted and gets half of the budget to settle.
      const hasSettled = await orAfter(settled, part.budgetMs / 2, false);
      await stopPart(part, hasSettled ? part.budgetMs : part.budgetMs / 2, this.log);
    }
  }
}

/** Stops parts in reverse of their order, each within its budget; never throws. */
export async function stopInReverse(parts: readonly Part[], log: Logger): Promise<void> {
  for (const part of parts.toReversed()) await stopPart(part, part.budgetMs, log);
}

async function stopPart(part: Part, budgetMs: number, log: Logger): Promise<void> {
  try {
    await withDeadline(Promise.resolve(part.stop?.()), budgetMs, `${part.name} not stopped`);
  } catch (error) {
    log.warn({ part: part.name, err: error }, 'failed to stop part');
  }
}
