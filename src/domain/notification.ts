// What happens on the network, as programs that watch this node are told of it (spec: notificationCh; wire.md "HTTP and
// WebSocket").

import type { Hash, PeerId } from './ids.ts';
import type { NodeStatusMessage } from './node-status.ts';

/** One event. `atMs` is unix time; `isOwn` tells what this node announced itself, once each. */
export type Notification =
  | {
      readonly type: 'block';
      readonly atMs: number;
      readonly isOwn: boolean;
      readonly hash: Hash;
      readonly height: number;
      readonly baseUrl: string;
      readonly peerId: PeerId;
    }
  | {
      readonly type: 'subtree';
      readonly atMs: number;
      readonly isOwn: boolean;
      readonly hash: Hash;
      readonly baseUrl: string;
      readonly peerId: PeerId;
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
    };

export type NotificationListener = (notification: Notification) => void;

/** Whoever watches. Listeners are called at once, in order, and must neither block nor throw. */
export interface NotificationStream {
  /** Until the returned function is called. */
  subscribe(listener: NotificationListener): () => void;
}
