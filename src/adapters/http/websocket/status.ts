// The first frame of every client: this node's own status. It is requested once however many clients connect; when it
// is late, the latest known one is sent.
import type { Notification } from '../../../domain/notification.ts';
import { settledWithin } from '../../../lib/deadline.ts';
import { singleFlight } from '../../../lib/single-flight.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import type { WireName } from '../../../wire/format.ts';
import { encodeNotificationFrame } from '../../../wire/notification-frame.ts';
import { withId } from './feed-frames.ts';
import { textFrame } from './frame.ts';

export type NodeStatus = Extract<Notification, { type: 'node_status' }>;

/** A status of at most this age is not requested again. */
const FRESH_MS = 1000;

export class OwnStatusFrame {
  private readonly log: Logger;
  private readonly clock: Clock;
  private readonly ask: () => NodeStatus | Promise<NodeStatus>;
  private readonly deadlineMs: number;
  private readonly order: WireName;
  private known: { readonly payload: Uint8Array; readonly frame: Buffer; readonly requestedMs: number } | undefined;
  private readonly refresh = singleFlight(() => this.request());

  constructor(
    deps: {
      readonly log: Logger;
      readonly clock: Clock;
      /** May be slow or fail; not called again before it has settled. */
      readonly ownStatus: () => NodeStatus | Promise<NodeStatus>;
    },
    options: { readonly deadlineMs: number; readonly order: WireName },
  ) {
    this.log = deps.log;
    this.clock = deps.clock;
    this.ask = deps.ownStatus;
    this.deadlineMs = options.deadlineMs;
    this.order = options.order;
  }

  /**
   * Settles within the deadline. undefined while no status has ever been known. `id`: where the client begins in the
   * feed, for a client that wants to know.
   */
  async frame(id?: string): Promise<Buffer | undefined> {
    const isFresh = this.known !== undefined && this.clock.monotonic() - this.known.requestedMs < FRESH_MS;
    if (!isFresh) await settledWithin([this.refresh()], this.deadlineMs);
    if (id === undefined || this.known === undefined) return this.known?.frame;
    return textFrame(withId(this.known.payload, id));
  }

  /** Keeps a status that was published meanwhile. */
  remember(payload: Uint8Array, frame: Buffer): void {
    this.known = { payload, frame, requestedMs: Number.NEGATIVE_INFINITY };
  }

  private async request(): Promise<void> {
    const requestedMs = this.clock.monotonic();
    try {
      const status = await this.ask();
      const payload = encodeNotificationFrame(status, this.order);
      this.known = { payload, frame: textFrame(payload), requestedMs };
    } catch (error) {
      this.log.debug({ err: error }, 'failed to get the status of this node');
    }
  }
}
