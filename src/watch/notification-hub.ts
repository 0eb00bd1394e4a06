// The stream of notifications: each subscriber is notified at once. The hub stores nothing; a slow subscriber needs a
// buffer of its own.

import type { Notification, NotificationListener, NotificationStream } from '../domain/notification.ts';
import type { Logger } from '../ports/log.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';

const MAX_LISTENERS = 1000;

export class NotificationHub implements NotificationStream {
  private readonly log: Logger;
  private readonly sent: Counter;
  private readonly listeners = new Set<NotificationListener>();

  constructor(deps: { readonly log: Logger; readonly metrics: Metrics }) {
    this.log = deps.log;
    this.sent = deps.metrics.counter('teranode_p2p_notifications_total', 'Notifications sent to subscribers, by type', [
      'type',
    ]);
  }

  publish(notification: Notification): void {
    this.sent.add(1, { type: notification.type });
    for (const listener of this.listeners) {
      try {
        listener(notification);
      } catch (error) {
        this.log.error({ type: notification.type, err: error }, 'notification subscriber failed');
      }
    }
  }

  /** Throws RangeError beyond a thousand subscribers. */
  subscribe(listener: NotificationListener): () => void {
    if (this.listeners.size >= MAX_LISTENERS) throw new RangeError(`at most ${MAX_LISTENERS} subscribers`);
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
