// Stores bans, scores and offences across restarts. Two implementations: a SQLite file of one node, PostgreSQL shared
// by several nodes.
import type { BanEntry } from '../domain/ban.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Offence, ScoreRow } from '../domain/offence.ts';

export interface SeenAddress {
  readonly address: string;
  readonly peerId: PeerId;
  readonly lastSeenMs: number;
}

export interface StoredScores {
  readonly scores: readonly ScoreRow[];
  /** The latest offences of each subject, oldest first. */
  readonly offences: readonly Offence[];
}

/** A change by another server; `all` after a lost connection, when anything may have changed. */
export type StoreChange =
  | { readonly type: 'ban'; readonly key: string }
  | { readonly type: 'score'; readonly subject: string }
  | { readonly type: 'all' };

/** A row of a Go deployment's table, unparsed. */
export interface LegacyBan {
  readonly key: string;
  readonly subnet: string;
  readonly expiration: string;
}

/**
 * Every call settles within the store's own deadline. Throws P2PError STORE_UNAVAILABLE when a later attempt may
 * succeed, STORE_FAILED otherwise.
 */
export interface BanStore {
  /** True when other servers use the same tables: bans that exceed this server's limit may fit into theirs. */
  readonly isShared: boolean;

  /** Creates what is missing; may be called again after a failure. */
  open(): Promise<void>;
  close(): Promise<void>;

  loadBans(): Promise<BanEntry[]>;
  loadBan(key: string): Promise<BanEntry | undefined>;
  putBan(entry: BanEntry): Promise<void>;
  /** Removes the ban of this key, and those that it caused. */
  removeBan(key: string): Promise<void>;
  clearBans(): Promise<void>;

  loadScores(): Promise<StoredScores>;
  loadScoresOf(subject: string): Promise<StoredScores>;
  /**
   * Adds an offence's points to the decayed score, atomically even with several servers; they do not raise it above
   * `ceiling`. Resolves with the new score.
   */
  addOffence(offence: Offence, ceiling?: number): Promise<ScoreRow>;
  /** Deletes scores and offences of a few hundred subjects at most. */
  resetScores(subjects: readonly string[]): Promise<void>;

  loadAddresses(): Promise<SeenAddress[]>;
  /** Peers seen at one address, by any server. */
  loadAddressesAt(address: string): Promise<SeenAddress[]>;
  putAddress(seen: SeenAddress): Promise<void>;

  /**
   * Deletes some of the ended bans, decayed scores and old addresses, and rows beyond the store's limits, in a short
   * time. Resolves with `more` when there may be others.
   */
  purge(nowMs: number): Promise<'done' | 'more'>;

  /** Rows of a Go deployment that were not imported yet; none after `legacyTaken`. */
  legacyBans(): Promise<LegacyBan[]>;
  legacyTaken(): Promise<void>;

  /** Calls `listener` for each change by another server, until the returned function is called. */
  subscribe(listener: (change: StoreChange) => void): () => void;
}
