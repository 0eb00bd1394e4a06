// A stream of notifications that a test feeds.
import type { Notification, NotificationListener, NotificationStream } from '../../src/domain/notification.ts';

export class FakeNotifications implements NotificationStream {
  private readonly listeners = new Set<NotificationListener>();

  /** How many listen. */
  get watched(): number {
    return this.listeners.size;
  }

  publish(...notifications: readonly Notification[]): void {
    for (const notification of notifications) for (const listener of this.listeners) listener(notification);
  }

  subscribe(listener: NotificationListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
