// The latest announcements and validation results, for operators: a bounded number of each, the oldest is overwritten.

import type { NotificationStream } from '../domain/notification.ts';
import type { ValidationResult } from '../gossip/validation-result.ts';
import { MAX_RECENT, type RecentAnnouncement, type RecentVerdict } from '../ports/admin-api.ts';
import type { GossipMessage } from '../ports/p2p-node.ts';

/** A ring: a new item overwrites the oldest. */
class Ring<T> {
  private readonly items: (T | undefined)[];
  private next = 0;

  constructor(size: number) {
    this.items = new Array<T | undefined>(size).fill(undefined);
  }

  push(item: T): void {
    this.items[this.next % this.items.length] = item;
    this.next += 1;
  }

  /** Latest first. */
  latest(): T[] {
    const size = this.items.length;
    const found: T[] = [];
    for (let i = 1; i <= Math.min(size, this.next); i += 1) {
      const item = this.items[(this.next - i) % size];
      if (item !== undefined) found.push(item);
    }
    return found;
  }
}

export class Recent {
  private readonly announced = new Ring<RecentAnnouncement>(MAX_RECENT);
  private readonly validated = new Ring<RecentVerdict>(MAX_RECENT);

  constructor(stream: NotificationStream) {
    stream.subscribe((notification) => {
      const { type } = notification;
      if (type !== 'node_status' && type !== 'tip' && type !== 'reorg') this.announced.push(notification);
    });
  }

  /** Called for each message; costs one small object. */
  result({ topic, author, receivedFrom }: GossipMessage, result: ValidationResult, atMs: number): void {
    const { decision, process: isProcessed } = result;
    const reason = result.process ? undefined : result.reason;
    this.validated.push({ atMs, topic, author, relay: receivedFrom, decision, isProcessed, reason });
  }

  announcements(): readonly RecentAnnouncement[] {
    return this.announced.latest();
  }

  verdicts(): readonly RecentVerdict[] {
    return this.validated.latest();
  }
}
