// What a node keeps of the past: rows per block and per hour, in the database of the ban store. Two implementations:
// SQLite and PostgreSQL.
import type { Hash, PeerId } from '../domain/ids.ts';

/** A block that was announced to this node. */
export interface HistoryBlock {
  readonly hash: Hash;
  readonly height: number;
  /** Who announced it first, and the name that it gave itself. */
  readonly author: PeerId;
  readonly clientName: string | undefined;
  /** Who sent that announcement to this node; undefined for our own. */
  readonly receivedFrom: PeerId | undefined;
  /** Unix ms. */
  readonly firstSeenMs: number;
  /** Authors that announced it within ten minutes. */
  readonly announcers: number;
}

export interface HistoryMessages {
  readonly topic: string;
  /** `processed`, or the validator that stopped them. */
  readonly result: string;
  readonly count: number;
}

export interface HistoryHour {
  /** Its beginning, in Unix ms. */
  readonly hourMs: number;
  /** At its end, or now: connected peers, our own height, and by how many blocks the network is ahead. */
  readonly peers: number;
  readonly tipHeight: number | undefined;
  readonly lag: number | undefined;
  readonly reorgs: number;
  readonly messages: readonly HistoryMessages[];
}

/** Unix ms, both included. */
export interface HistoryRange {
  readonly fromMs: number;
  readonly toMs: number;
  /** Number of rows, the latest first. */
  readonly limit: number;
}

/**
 * Rows of one node. Every call settles within the store's own deadline. Throws P2PError STORE_UNAVAILABLE when a later
 * attempt may succeed, STORE_FAILED otherwise.
 */
export interface HistoryStore {
  /** Creates what is missing; may be called again after a failure. */
  open(): Promise<void>;
  close(): Promise<void>;
  /**
   * All or nothing; each block and hour is given once. A block that is there already keeps what is known of its first announcement. Reorganisations and
   * messages of an hour are added to those that are there.
   */
  write(blocks: readonly HistoryBlock[], hours: readonly HistoryHour[]): Promise<void>;
  blocks(range: HistoryRange): Promise<HistoryBlock[]>;
  hours(range: HistoryRange): Promise<HistoryHour[]>;
  /** Deletes some of the rows before a time, in a short time. Resolves with `more` when there may be others. */
  purge(beforeMs: number): Promise<'done' | 'more'>;
}
