// Words about offences and scores that several rooms share (spec "Ban Management").
import type { Hash, PeerId } from './ids.ts';

/** Why points are given (spec `BanReason`). */
export type BanReason =
  | 'unknown'
  | 'invalid_subtree'
  | 'protocol_violation'
  | 'spam'
  | 'invalid_block'
  | 'catch_up_failure'
  | 'catch_up_malicious';

/**
 * The role in which a subject offended: the author who signed, the propagation source (the neighbour that sent
 * malformed RPCs; stored as `relay`), or the DataHub host that served content.
 */
export type ScoreRole = 'author' | 'relay' | 'datahub';

/** What is known of an offence besides its subject and reason. */
export interface OffenceFacts {
  readonly role: ScoreRole;
  /** The rule that noticed it, one of a closed set: a validator's name, `invalid_block_report`, `operator`. */
  readonly rule: string;
  /** Gossip or Kafka topic; empty when there was none. */
  readonly topic: string;
  readonly hash: Hash | undefined;
}

/** One offence. */
export interface Offence extends OffenceFacts {
  /** Peer ID, or host name of a DataHub. */
  readonly subject: string;
  readonly reason: BanReason;
  readonly points: number;
  /** Unix ms. */
  readonly atMs: number;
}

/** An offence, and whether it counted: in shadow mode offences are only recorded. */
export interface ExplainedOffence extends Offence {
  readonly isShadow: boolean;
}

/** A score at a point in time: one point decays with each whole minute after `atMs`. */
export interface ScoreRow {
  readonly subject: string;
  readonly role: ScoreRole;
  readonly score: number;
  readonly atMs: number;
}

/** A score as it is now. */
export interface RoleScore {
  readonly role: ScoreRole;
  readonly score: number;
}

/** The decision to ban a peer (what the specification's BanEventHandler is called with). */
export interface BanDecision {
  readonly peerId: PeerId;
  /** Unix ms. */
  readonly untilMs: number;
  readonly reason: string;
  readonly offence: Offence;
  /** Default `automatic`: decided by this node. */
  readonly source?: 'automatic' | 'service';
}

/** What an offence led to. */
export interface ScoreOutcome {
  /** The score in that role after the offence. */
  readonly score: number;
  /** True when the offence led to a ban or, in shadow mode, would have. */
  readonly reachedThreshold: boolean;
  readonly isShadow: boolean;
  /** The ban that follows; undefined when none does. */
  readonly ban: BanDecision | undefined;
}

/** Where offences are recorded. */
export interface OffenceRecorder {
  addScore(subject: string, reason: BanReason, facts: OffenceFacts): unknown;
}
