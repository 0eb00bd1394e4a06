// When the others are asked for their best block: as soon as somebody listens, again after nobody did or our chain was not running, and while no
// connected peer has told its height. At most once a minute: each request is answered by every node that hears it.

import { type Repeating, repeating } from '../lib/repeating.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { PublishOutcome } from '../ports/p2p-node.ts';

export interface BestBlockAskerDependencies {
  /** Publishes the request. */
  request(): Promise<PublishOutcome>;
  /** Peers that subscribe to the topic. Cheap; called every two seconds. */
  listeners(): number;
  /** Whether a connected peer has told a height that still counts. As cheap. */
  isHeightKnown(): boolean;
  /** As last heard, whether our state machine is at RUNNING. */
  isRunning(): boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

const LOOK_INTERVAL_MS = 2000;
const LEAST_GAP_MS = 60_000;

export class BestBlockAsker {
  private readonly deps: BestBlockAskerDependencies;
  private loop: Repeating | undefined;
  private askedMs = Number.NEGATIVE_INFINITY;
  /** Since the last request something may have been missed. */
  private isDue = true;
  private wasRunning = true;

  constructor(deps: BestBlockAskerDependencies) {
    this.deps = deps;
  }

  start(): void {
    this.loop ??= repeating(
      () => this.look(),
      { firstMs: 0, nextMs: () => LOOK_INTERVAL_MS },
      (error) => this.deps.log.debug({ err: error }, 'best block not asked for'),
    );
  }

  /** May be called twice. */
  stop(): void {
    this.loop?.stop();
  }

  private async look(): Promise<void> {
    const { request, listeners, isHeightKnown, isRunning, clock } = this.deps;
    const isNowRunning = isRunning();
    const hasListeners = listeners() > 0;
    if (!hasListeners || (isNowRunning && !this.wasRunning)) this.isDue = true;
    this.wasRunning = isNowRunning;
    if (!hasListeners || (!this.isDue && isHeightKnown())) return;
    if (clock.monotonic() - this.askedMs < LEAST_GAP_MS) return;
    this.askedMs = clock.monotonic();
    const outcome = await request();
    this.isDue = false;
    // Listening only, and that does not change.
    if (outcome === 'suppressed') this.stop();
  }
}
