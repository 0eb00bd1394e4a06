// What programs over HTTP may ask and order of this node: the admin port, and what only watchers want to see.
import type { Hash, PeerId } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import type { ValidationDecision } from './p2p-node.ts';
import type { PeerAdmin } from './peer-admin.ts';
import type { SyncPeer } from './sync-status.ts';

/** Where this node stands, and from whom it catches up. */
export interface SyncView {
  /** undefined while the chain does not answer. */
  readonly fsmState: string | undefined;
  readonly bestHeight: number | undefined;
  readonly bestBlockHash: Hash | undefined;
  /** undefined while nobody is chosen. */
  readonly syncPeer: SyncPeer | undefined;
}

/** A gossip topic that this node has joined. */
export interface TopicView {
  /** Full name. */
  readonly name: string;
  readonly subscribers: readonly PeerId[];
  /** Those with whom full messages are exchanged. */
  readonly mesh: readonly PeerId[];
}

/** A setting as it is in force. */
export interface SettingView {
  readonly key: string;
  /** Secrets masked; empty when unset. */
  readonly value: string;
  /** `default`, `unset`, `environment p2p_port`, `settings.conf:12 p2p_port.dev`. */
  readonly origin: string;
}

/** What was decided of one gossip message. */
export interface RecentVerdict {
  /** Unix ms. */
  readonly atMs: number;
  /** Full name. */
  readonly topic: string;
  readonly author: PeerId;
  /** Who handed it over. */
  readonly relay: PeerId;
  readonly decision: ValidationDecision;
  readonly isProcessed: boolean;
  /** Name of the guard that stopped it; undefined when it was processed. */
  readonly reason: string | undefined;
}

/** Node statuses are left out: each node of a network repeats its own, and few would leave no place for anything else. */
export type RecentAnnouncement = Exclude<Notification, { readonly type: 'node_status' }>;

/** Recent announcements, and recent verdicts, that are kept at most. */
export const MAX_RECENT = 200;

/** Nothing here waits but what PeerAdmin says; lists are as of now. */
export interface NodeView extends PeerAdmin {
  sync(): SyncView | Promise<SyncView>;
  topics(): readonly TopicView[];
  settings(): readonly SettingView[];
  /** Announcements of peers and of our own, latest first; at most `MAX_RECENT`. */
  recentAnnouncements(): readonly RecentAnnouncement[];
  /** Latest first; at most `MAX_RECENT`. */
  recentVerdicts(): readonly RecentVerdict[];
}

/** One thing that readiness depends on. */
export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
  /** For a person, one line. */
  readonly details: string;
  /** How long it took to find out. */
  readonly tookMs: number;
  /** Unix ms at which it was found out. */
  readonly atMs: number;
}
