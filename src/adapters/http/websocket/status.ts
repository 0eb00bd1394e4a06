// The first frame of every client: this node's own status. Asked once however many connect, and the best known where it does not come in time.

import type { Notification } from '../../../domain/notification.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import { encodeNotificationFrame } from '../../../wire/notification-frame.ts';
import { textFrame } from './frame.ts';

export type NodeStatus = Extract<Notification, { type: 'node_status' }>;

/** Not younger than this is good enough for the next client. */
const FRESH_MS = 1000;

export class OwnStatusFrame {
  private readonly log: Logger;
  private readonly clock: Clock;
  private readonly ask: () => NodeStatus | Promise<NodeStatus>;
  private readonly deadlineMs: number;
  private known: { readonly frame: Buffer; readonly askedMs: number } | undefined;
  private asking: Promise<void> | undefined;

  constructor(
    deps: {
      readonly log: Logger;
      readonly clock: Clock;
      /** May take its time or fail; not asked again before it has settled. */
      readonly ownStatus: () => NodeStatus | Promise<NodeStatus>;
    },
    options: { readonly deadlineMs: number },
  ) {
    this.log = deps.log;
    this.clock = deps.clock;
    this.ask = deps.ownStatus;
    this.deadlineMs = options.deadlineMs;
  }

  /** Within the deadline. undefined while none has ever been known. */
  async frame(): Promise<Buffer | undefined> {
    const isFresh = this.known !== undefined && this.clock.monotonic() - this.known.askedMs < FRESH_MS;
    if (!isFresh) {
      this.asking ??= this.refresh().finally(() => {
        this.asking = undefined;
      });
      await settledWithin(this.asking, this.deadlineMs);
    }
    return this.known?.frame;
  }

  /** A status of our own that went by. */
  remember(frame: Buffer): void {
    this.known = { frame, askedMs: Number.NEGATIVE_INFINITY };
  }

  private async refresh(): Promise<void> {
    const askedMs = this.clock.monotonic();
    try {
      const status = await this.ask();
      this.known = { frame: textFrame(encodeNotificationFrame(status)), askedMs };
    } catch (error) {
      this.log.debug({ err: error }, 'own status not known');
    }
  }
}

async function settledWithin(work: Promise<void>, deadlineMs: number): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, deadlineMs);
  await Promise.race([work, late.promise]);
  clearTimeout(timer);
}
