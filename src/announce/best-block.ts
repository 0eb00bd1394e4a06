// Announces our best block when a peer requests it on the topic, and requests the best blocks of others (wire.md "Best
// block"). At most one announcement per two seconds answers all requests. There is none unless the FSM is RUNNING:
// during a catch-up our tip is an old block.

import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import { withDeadline } from '../lib/deadline.ts';
import type { BlockHeaderRecord } from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { PublishOutcome } from '../ports/p2p-node.ts';
import type { BestBlockMessage } from '../wire/best-block.ts';
import { announcementsCounter } from './announcements.ts';
import type { Publisher } from './publisher.ts';

export interface BestBlockDependencies {
  readonly publisher: Publisher;
  readonly ownId: PeerId;
  readonly chain: Pick<ChainTracker, 'recentBestHeader' | 'recentFsmState'>;
  readonly notify: (notification: Notification) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

const MIN_INTERVAL_MS = 2000;
const ASK_DEADLINE_MS = 4000;
const HEADER_AGE_MS = 1000;
const PUBLISH_DEADLINE_MS = 5000;

type Outcome = PublishOutcome | 'silent' | 'failed';

export class BestBlockAnnouncer {
  private readonly deps: BestBlockDependencies;
  private readonly announced: Counter;
  private answeredMs = Number.NEGATIVE_INFINITY;
  /** Set while a request waits for its answer. */
  private timer: NodeJS.Timeout | undefined;
  private isAnswering = false;
  private stopped = false;

  constructor(deps: BestBlockDependencies) {
    this.deps = deps;
    this.announced = announcementsCounter(deps.metrics);
  }

  /** A request arrived. It is answered at once, or two seconds after the last answer. Never throws. */
  requested(author: PeerId): void {
    if (this.stopped || this.isAnswering || this.timer !== undefined || author === this.deps.ownId) return;
    const waitMs = Math.max(0, this.answeredMs + MIN_INTERVAL_MS - this.deps.clock.monotonic());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.answer();
    }, waitMs).unref();
  }

  /** Requests the best blocks of peers; they answer with announcements on the topic. Throws what publishing throws. */
  async request(): Promise<PublishOutcome> {
    const outcome = await this.publish({ kind: 'request', peerId: this.deps.ownId });
    this.announced.add(1, { kind: 'best_block_request', outcome });
    return outcome;
  }

  /** May be called twice; nothing is published after it. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private async answer(): Promise<void> {
    this.isAnswering = true;
    let outcome: Outcome = 'failed';
    try {
      outcome = await this.announce();
    } catch (error) {
      if (!this.stopped) this.deps.log.debug({ err: error }, 'failed to announce best block');
    }
    this.answeredMs = this.deps.clock.monotonic();
    this.isAnswering = false;
    this.announced.add(1, { kind: 'best_block', outcome });
  }

  private async announce(): Promise<Outcome> {
    const best = await withDeadline(this.bestWhileRunning(), ASK_DEADLINE_MS);
    if (best === undefined || this.stopped) return 'silent';
    const { height, hash } = best;
    const outcome = await this.publish({ kind: 'announcement', height, hash });
    const { ownId, notify, clock } = this.deps;
    if (outcome === 'published')
      notify({ type: 'best_block', atMs: clock.now(), isOwn: true, hash, height, peerId: ownId });
    return outcome;
  }

  private async bestWhileRunning(): Promise<BlockHeaderRecord | undefined> {
    const { chain } = this.deps;
    return (await chain.recentFsmState()) === 'RUNNING' ? await chain.recentBestHeader(HEADER_AGE_MS) : undefined;
  }

  private async publish(message: BestBlockMessage): Promise<PublishOutcome> {
    return await withDeadline(this.deps.publisher.publish({ kind: 'best_block', message }), PUBLISH_DEADLINE_MS);
  }
}
