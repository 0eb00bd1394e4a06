// The stream of notifications: whoever watches is told of each at once. It holds nothing; who is slow has a buffer of its own.

import type { Notification, NotificationListener, NotificationStream } from '../domain/notification.ts';
import type { Logger } from '../ports/log.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';

const MAX_LISTENERS = 1000;

export class NotificationHub implements NotificationStream {
  private readonly log: Logger;
  private readonly told: Counter;
  private readonly listeners = new Set<NotificationListener>();

  constructor(deps: { readonly log: Logger; readonly metrics: Metrics }) {
    this.log = deps.log;
    this.told = deps.metrics.counter('teranode_p2p_notifications_total', 'Events told to watchers', ['type']);
  }

  publish(notification: Notification): void {
    this.told.add(1, { type: notification.type });
    for (const listener of this.listeners) {
      try {
        listener(notification);
      } catch (error) {
        this.log.error({ type: notification.type, err: error }, 'notification listener failed');
      }
    }
  }

  /** Throws RangeError beyond a thousand listeners. */
  subscribe(listener: NotificationListener): () => void {
    if (this.listeners.size >= MAX_LISTENERS) throw new RangeError(`at most ${MAX_LISTENERS} listeners`);
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
