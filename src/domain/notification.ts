// Events on the network, for programs that subscribe to this node (spec: notificationCh).

import type { ChainEvent } from './chain-event.ts';
import type { Hash, PeerId } from './ids.ts';
import type { NodeStatusMessage } from './node-status.ts';

/** One event. `atMs` is Unix time; `isOwn` marks announcements of this node itself, once each. */
export type Notification =
  | {
      readonly type: 'block';
      readonly atMs: number;
      readonly isOwn: boolean;
      readonly hash: Hash;
      readonly height: number;
      readonly baseUrl: string;
      readonly peerId: PeerId;
      /** The name that the author gives itself, on message-bus; not empty. */
      readonly clientName?: string;
      /** The 80 bytes, where the announcement has them. */
      readonly header?: Uint8Array;
      /** The propagation source; absent for our own. */
      readonly receivedFrom?: PeerId;
    }
  | {
      readonly type: 'subtree';
      readonly atMs: number;
      readonly isOwn: boolean;
      readonly hash: Hash;
      readonly baseUrl: string;
      readonly peerId: PeerId;
      /** As of a block. */
      readonly clientName?: string;
      readonly receivedFrom?: PeerId;
    }
  | {
      readonly type: 'mining_on';
      readonly atMs: number;
      readonly isOwn: boolean;
      readonly hash: Hash;
      readonly previousHash: Hash | undefined;
      readonly height: number;
      readonly miner: string;
      readonly sizeInBytes: bigint;
      readonly txCount: bigint;
      readonly baseUrl: string;
      readonly peerId: PeerId;
    }
  | (Omit<NodeStatusMessage, 'peerId'> & {
      readonly type: 'node_status';
      readonly atMs: number;
      readonly isOwn: boolean;
      readonly peerId: PeerId;
    })
  | {
      readonly type: 'rejected_tx';
      readonly atMs: number;
      readonly isOwn: boolean;
      readonly hash: Hash;
      readonly reason: string;
      readonly peerId: PeerId;
    }
  | {
      readonly type: 'best_block';
      readonly atMs: number;
      readonly isOwn: boolean;
      readonly hash: Hash;
      readonly height: number;
      readonly peerId: PeerId;
    }
  /** Of our own chain; no message of the network. */
  | (ChainEvent & { readonly atMs: number; readonly isOwn: true });

export type NotificationType = Notification['type'];

export const NOTIFICATION_TYPES = [
  'block',
  'subtree',
  'mining_on',
  'node_status',
  'rejected_tx',
  'best_block',
  'tip',
  'reorg',
] as const satisfies readonly NotificationType[];

export type NotificationListener = (notification: Notification) => void;

/** A stream of notifications. Listeners are called synchronously, in order, and must neither block nor throw. */
export interface NotificationStream {
  /** Calls `listener` until the returned function is called. */
  subscribe(listener: NotificationListener): () => void;
}
