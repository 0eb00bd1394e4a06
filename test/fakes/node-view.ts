// A NodeView in memory beside the fake admin, and a stream of notifications that a test feeds.

import type { Notification, NotificationListener, NotificationStream } from '../../src/domain/notification.ts';
import type {
  NodeView,
  RecentAnnouncement,
  RecentVerdict,
  SettingView,
  SyncView,
  TopicView,
} from '../../src/ports/node-view.ts';
import { FakePeerAdmin } from './peer-admin.ts';

export class FakeNodeView extends FakePeerAdmin implements NodeView {
  syncView: SyncView = { fsmState: undefined, bestHeight: undefined, bestBlockHash: undefined, syncPeer: undefined };
  topicViews: readonly TopicView[] = [];
  settingViews: readonly SettingView[] = [];
  announcements: readonly RecentAnnouncement[] = [];
  verdicts: readonly RecentVerdict[] = [];

  async sync(): Promise<SyncView> {
    await this.gate;
    return this.syncView;
  }

  topics(): readonly TopicView[] {
    return this.topicViews;
  }

  settings(): readonly SettingView[] {
    return this.settingViews;
  }

  recentAnnouncements(): readonly RecentAnnouncement[] {
    return this.announcements;
  }

  recentVerdicts(): readonly RecentVerdict[] {
    return this.verdicts;
  }
}

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
