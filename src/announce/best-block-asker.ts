// Decides when to request the best blocks of peers: as soon as a peer subscribes to the topic, again after there was no
// subscriber or our FSM was not RUNNING, and while no connected peer has claimed a height. At most once per minute:
// every node that receives the request answers it.

import { type Repeating, repeating } from '../lib/repeating.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { PublishOutcome } from '../ports/p2p-node.ts';

export interface BestBlockAskerDependencies {
  /** Publishes the request. */
  request(): Promise<PublishOutcome>;
  /** Number of peers that subscribe to the topic. Cheap; called every two seconds. */
  subscribers(): number;
  /** Whether a connected peer has claimed a height that has not expired. Cheap. */
  isHeightKnown(): boolean;
  /** Whether the last known FSM state is RUNNING. */
  isRunning(): boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

const INTERVAL_MS = 2000;
const MIN_REQUEST_INTERVAL_MS = 60_000;

export class BestBlockAsker {
  private readonly deps: BestBlockAskerDependencies;
  private loop: Repeating | undefined;
  private requestedMs = Number.NEGATIVE_INFINITY;
  /** We may have missed announcements since the last request. */
  private isDue = true;
  private wasRunning = true;

  constructor(deps: BestBlockAskerDependencies) {
    this.deps = deps;
  }

  start(): void {
    this.loop ??= repeating(
      () => this.check(),
      { firstMs: 0, nextMs: () => INTERVAL_MS },
      (error) => this.deps.log.debug({ err: error }, 'failed to request best blocks'),
    );
  }

  /** May be called twice. */
  stop(): void {
    this.loop?.stop();
  }

  private async check(): Promise<void> {
    const { request, subscribers, isHeightKnown, isRunning, clock } = this.deps;
    const isNowRunning = isRunning();
    const hasSubscribers = subscribers() > 0;
    if (!hasSubscribers || (isNowRunning && !this.wasRunning)) this.isDue = true;
    this.wasRunning = isNowRunning;
    if (!hasSubscribers || (!this.isDue && isHeightKnown())) return;
    if (clock.monotonic() - this.requestedMs < MIN_REQUEST_INTERVAL_MS) return;
    this.requestedMs = clock.monotonic();
    const outcome = await request();
    this.isDue = false;
    // This node only listens, and that does not change.
    if (outcome === 'suppressed') this.stop();
  }
}
