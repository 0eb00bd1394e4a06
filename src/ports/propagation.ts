// How blocks and subtrees spread through the network, as far as this node can know it. Messages carry no time, so there
// are two measures: how much later other neighbours deliver the same message, and how old a block is by its header.
import type { Hash, PeerId } from '../domain/ids.ts';

/** Maximum number of listed announcements of each kind. */
export const MAX_SPREAD_ROWS = 16;
/** Maximum number of later copies listed with one. */
export const MAX_COPIES = 8;
/** The percentiles are those of the copies that arrived within this time. */
export const SPREAD_WINDOW_MS = 60_000;

/** The first announcement of a hash, and the copies of that message that came later. */
export interface SpreadRow {
  readonly kind: 'block' | 'subtree';
  readonly hash: Hash;
  /** As claimed; undefined for subtrees. */
  readonly height: number | undefined;
  readonly author: PeerId;
  /** The neighbour that delivered it first; the author itself when it is connected and was first. */
  readonly deliveredBy: PeerId;
  /** Unix ms of the first delivery. */
  readonly atMs: number;
  /**
   * `atMs` minus the time in the header: seconds of the miner's clock, at which it last changed the header. Negative
   * when that clock is ahead of ours. undefined for subtrees and without a header.
   */
  readonly headerAgeMs: number | undefined;
  /** All later copies, of which `copies` has the first `MAX_COPIES`. */
  readonly copyCount: number;
  /** In the order of their arrival; `delayMs` behind the first delivery. */
  readonly copies: readonly { readonly peerId: PeerId; readonly delayMs: number }[];
}

export interface Spread {
  /** Copies of blocks and subtrees that arrived in the last minute after their first delivery. */
  readonly copies: number;
  /** Percentiles of their delay behind it; undefined while there are none. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
  /** Latest first: blocks, then subtrees. */
  readonly recent: readonly SpreadRow[];
}

/** What is noted of a first announcement. */
export interface FirstAnnouncement {
  readonly type: 'attribute_block' | 'attribute_subtree';
  readonly hash: Hash;
  readonly author: PeerId;
  readonly receivedFrom: PeerId;
  readonly height?: number | undefined;
  /** Unix seconds in the header. */
  readonly headerTime?: number | undefined;
}
