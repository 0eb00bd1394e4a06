// What a handler says should happen. Plain values: handlers do no I/O, one executor does it all.
import type { BanReason } from '../ports/ban-store.ts';
import type { BlockHash, Hash, PeerId, SubtreeHash } from '../wire/ids.ts';

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
  /** A height that the author claims; not proven. */
  | { readonly type: 'peer_height'; readonly peerId: PeerId; readonly height: number };
