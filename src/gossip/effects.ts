// What a handler says should happen. Plain values: handlers do no I/O, one executor does it all.

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
      readonly relay: PeerId;
      readonly dataHubUrl: string;
    }
  | {
      readonly type: 'attribute_subtree';
      readonly hash: SubtreeHash;
      readonly author: PeerId;
      readonly relay: PeerId;
      readonly dataHubUrl: string;
    }
  /** To the node's other services: a block to fetch from the author's DataHub. */
  | { readonly type: 'publish_block'; readonly hash: BlockHash; readonly dataHubUrl: string; readonly author: PeerId }
  | {
      readonly type: 'publish_subtree';
      readonly hash: SubtreeHash;
      readonly dataHubUrl: string;
      readonly author: PeerId;
    }
  /** What a guard charges the author with. */
  | {
      readonly type: 'offence';
      readonly author: PeerId;
      readonly reason: BanReason;
      readonly rule: string;
      readonly topic: string;
      readonly hash: Hash | undefined;
    }
  /** What a peer says of itself, and what of it is proven. */
  | { readonly type: 'heard'; readonly peerId: PeerId; readonly patch: PeerPatch }
  /** To whoever watches this node; the executor adds the time. */
  | { readonly type: 'notify'; readonly notification: Untimed<Notification> }
  /** A version or verack that came by gossip. */
  | { readonly type: 'handshake'; readonly message: HandshakeMessage; readonly author: PeerId }
  /** Somebody asks for our best block. */
  | { readonly type: 'best_block_asked'; readonly author: PeerId }
  /** Sound, and not handed to the node's other services while they sync from somebody else. */
  | { readonly type: 'not_handed_on'; readonly topic: 'block' | 'mining_on' };

/** Without its time; over each member of a union. */
type Untimed<N> = N extends { readonly atMs: number } ? Omit<N, 'atMs'> : never;
