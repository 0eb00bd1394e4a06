// What handlers ask for. Effects are plain values: handlers do no I/O, one executor runs all effects.

import type { BlockHash, Hash, PeerId, SubtreeHash } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import type { BanReason } from '../domain/offence.ts';
import type { PeerPatch } from '../peers/registry.ts';
import type { HandshakeMessage } from '../wire/handshake.ts';

export type Effect =
  | {
      readonly type: 'attribute_block';
      readonly hash: BlockHash;
      readonly author: PeerId;
      readonly receivedFrom: PeerId;
      readonly dataHubUrl: string;
      readonly height: number;
      /** Unix seconds; undefined without a header. */
      readonly headerTime: number | undefined;
    }
  | {
      readonly type: 'attribute_subtree';
      readonly hash: SubtreeHash;
      readonly author: PeerId;
      readonly receivedFrom: PeerId;
      readonly dataHubUrl: string;
    }
  /** For block validation: a block to fetch from the author's DataHub. */
  | { readonly type: 'publish_block'; readonly hash: BlockHash; readonly dataHubUrl: string; readonly author: PeerId }
  | {
      readonly type: 'publish_subtree';
      readonly hash: SubtreeHash;
      readonly dataHubUrl: string;
      readonly author: PeerId;
    }
  /** A validator found the author at fault. */
  | {
      readonly type: 'offence';
      readonly author: PeerId;
      readonly reason: BanReason;
      readonly rule: string;
      readonly topic: string;
      readonly hash: Hash | undefined;
    }
  /** What a peer says about itself, and what of that is proven. */
  | { readonly type: 'heard'; readonly peerId: PeerId; readonly patch: PeerPatch }
  /** For subscribers of this node; the executor adds the time. */
  | { readonly type: 'notify'; readonly notification: Untimed<Notification> }
  /** A version or verack that came by gossip. */
  | { readonly type: 'handshake'; readonly message: HandshakeMessage; readonly author: PeerId }
  /** A peer asks for our best block. */
  | { readonly type: 'best_block_asked'; readonly author: PeerId }
  /** The message had a DataHub URL that may not be used; the rest of it counts. */
  | { readonly type: 'url_omitted'; readonly topic: 'node_status' }
  /** Valid, but not passed to the node's other services while the node syncs from another peer. */
  | { readonly type: 'withheld'; readonly topic: 'block' | 'mining_on' };

/** Omits the time from each member of the union. */
type Untimed<N> = N extends { readonly atMs: number } ? Omit<N, 'atMs'> : never;
