// Where bans, scores and offences outlive the process. Two implementations: SQLite beside the node, PostgreSQL shared
// by several.
import type { Hash, PeerId } from '../domain/ids.ts';

/** Why points are given (spec `BanReason`). */
export type BanReason =
  | 'unknown'
  | 'invalid_subtree'
  | 'protocol_violation'
  | 'spam'
  | 'invalid_block'
  | 'catch_up_failure';

/**
 * In which role somebody offended: who signed it, the neighbour that handed over broken frames, the host that served
 * content.
 */
export type ScoreRole = 'author' | 'relay' | 'datahub';

export type BanKind = 'address' | 'subnet' | 'peer';

/** A ban as it is kept. */
export interface BanEntry {
  /** Canonical: an IP, a masked CIDR, or a peer id. */
  readonly key: string;
  readonly kind: BanKind;
  /** Unix ms. */
  readonly untilMs: number;
  readonly createdAtMs: number;
  /** For a person, one line. */
  readonly reason: string;
  /** What it was found by: rule, topic, hash; also why an address was left out. */
  readonly evidence: string;
  readonly source: 'operator' | 'automatic' | 'imported';
  /** The peer whose ban brought this one about; lifted with it. */
  readonly because: PeerId | undefined;
}

/** One thing that somebody did wrong. */
export interface Offence {
  /** Peer id, or host of a DataHub. */
  readonly subject: string;
  readonly role: ScoreRole;
  readonly reason: BanReason;
  readonly points: number;
  /** The rule that noticed: a guard's name, `invalid_block_report`, `operator`. */
  readonly rule: string;
  /** Gossip or Kafka topic; empty when it was none. */
  readonly topic: string;
  readonly hash: Hash | undefined;
  /** Unix ms. */
  readonly atMs: number;
}

/** A score as of a moment: one point leaves with each whole minute after `atMs`. */
export interface ScoreRow {
  readonly subject: string;
  readonly role: ScoreRole;
  readonly score: number;
  readonly atMs: number;
}

export interface SeenAddress {
  readonly address: string;
  readonly peerId: PeerId;
  readonly lastSeenMs: number;
}

export interface StoredScores {
  readonly scores: readonly ScoreRow[];
  /** The latest of each subject, oldest first. */
  readonly offences: readonly Offence[];
}

/** What another server changed; `all` after a lost connection, when anything may have. */
export type StoreChange =
  | { readonly type: 'ban'; readonly key: string }
  | { readonly type: 'score'; readonly subject: string }
  | { readonly type: 'all' };

/** A row of a Go deployment's table, as it stands there. */
export interface LegacyBan {
  readonly key: string;
  readonly subnet: string;
  readonly expiration: string;
}

/**
 * Every call settles within the store's own deadline. Throws P2PError STORE_UNAVAILABLE when trying again later may
 * help, STORE_FAILED when it cannot.
 */
export interface BanStore {
  /** True when other servers use the same tables: what has no room in this one's memory may have in theirs. */
  readonly isShared: boolean;

  /** Creates what is missing; may be called again after a failure. */
  open(): Promise<void>;
  close(): Promise<void>;

  loadBans(): Promise<BanEntry[]>;
  loadBan(key: string): Promise<BanEntry | undefined>;
  putBan(entry: BanEntry): Promise<void>;
  /** The ban of this key, and those that it brought about. */
  removeBan(key: string): Promise<void>;
  clearBans(): Promise<void>;

  loadScores(): Promise<StoredScores>;
  loadScoresOf(subject: string): Promise<StoredScores>;
  /**
   * Adds an offence's points to what is left of the score at its time; one step, whoever else adds. Resolves with the
   * new score.
   */
  addOffence(offence: Offence): Promise<ScoreRow>;
  /** Forgets scores and offences of these; a few hundred at most. */
  resetScores(subjects: readonly string[]): Promise<void>;

  loadAddresses(): Promise<SeenAddress[]>;
  /** Who was seen at one address, by whichever server. */
  loadAddressesAt(address: string): Promise<SeenAddress[]>;
  putAddress(seen: SeenAddress): Promise<void>;

  /**
   * Forgets some of the bans that ended, of the scores, offences and addresses that no longer say anything, and of what
   * is beyond the store's bounds: no more than takes a moment. `more` when there may be others.
   */
  purge(nowMs: number): Promise<'done' | 'more'>;

  /** Rows of a Go deployment that were not taken over yet; none after `legacyTaken`. */
  legacyBans(): Promise<LegacyBan[]>;
  legacyTaken(): Promise<void>;

  /** Calls `listener` for what other servers change, until the returned function is called. */
  subscribe(listener: (change: StoreChange) => void): () => void;
}
