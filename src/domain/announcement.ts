// What this node hands to the node's other services: a block or subtree to fetch, and from whom.

import type { BlockHash, SubtreeHash } from './ids.ts';

interface Fetchable {
  /** DataHub to fetch it from. */
  readonly url: string;
  /** Who announced it. Empty where the sender is of an older revision. */
  readonly peerId: string;
}

export interface BlockAnnouncement extends Fetchable {
  readonly hash: BlockHash;
}

export interface SubtreeAnnouncement extends Fetchable {
  readonly hash: SubtreeHash;
}
