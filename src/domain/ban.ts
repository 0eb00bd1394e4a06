// Words about bans that several rooms share: what can be banned, a ban as it is kept, and the explanation of a
// subject's standing.
import type { IpAddress } from '../lib/ip.ts';
import type { PeerId } from './ids.ts';
import type { ExplainedOffence, RoleScore } from './offence.ts';
import type { CitedRule } from './offences.ts';

export type BanKind = 'address' | 'subnet' | 'peer';

/** What a ban is of, parsed. Texts are parsed once, where they enter; from there on this value is passed along. */
export type BanKey =
  | { readonly kind: 'peer'; readonly key: PeerId }
  | {
      readonly kind: Exclude<BanKind, 'peer'>;
      /** Canonical text: an IP, or a CIDR without host bits. */
      readonly key: string;
      readonly ip: IpAddress;
      /** Number of significant bits; 32 or 128 for a single address. */
      readonly prefix: number;
    };

/** A ban as it is kept. */
export interface BanEntry {
  /** Canonical text: an IP, a CIDR without host bits, or a peer ID. */
  readonly key: string;
  readonly kind: BanKind;
  /** Unix ms. */
  readonly untilMs: number;
  readonly createdAtMs: number;
  /** One line for operators. */
  readonly reason: string;
  /** Rule, topic and hash that led to the ban; also why the peer's address was not banned. */
  readonly evidence: string;
  /** `service`: the blockchain service banned the peer. */
  readonly source: 'operator' | 'automatic' | 'imported' | 'service';
  /** The peer whose ban caused this one; both are lifted together. Stored and shown as `because`. */
  readonly causedBy: PeerId | undefined;
}

/** A ban with its parsed key: one object for both, because a list may hold very many. */
export type Ban = BanEntry & BanKey;

/** A ban that an operator ordered, in force. */
export interface OrderedBan extends BanEntry {
  /** False while the store does not have it: a restart before it does would lift the ban. */
  readonly isStored: boolean;
}

/** What became of an order to lift a ban. */
export interface LiftedBan {
  /** False when there was nothing to lift. */
  readonly hadAny: boolean;
  /** The ban that still covers all of the subject. */
  readonly coveredBy: BanEntry | undefined;
  /** False while the store does not have the change: a restart before it does would bring the ban back. */
  readonly isStored: boolean;
}

/** Ten years: the longest ban that an operator may order. A time beyond it is one in another unit. */
export const MAX_BAN_MS = 3653 * 24 * 3_600_000;

/** Why a peer, address or DataHub host stands as it does. */
export interface Explanation {
  /** Canonical form of what was asked for. */
  readonly subject: string;
  readonly scores: readonly RoleScore[];
  /** Who keeps the score as author, and decides about the ban that follows from it. */
  readonly scoreKeptBy: 'this node' | 'blockchain service';
  /** Scores from rules in shadow mode; they do not count. */
  readonly shadowScores: readonly RoleScore[];
  /** Score at which a peer is banned. */
  readonly threshold: number;
  /** Latest last; at most 50 that counted and 50 that did not. */
  readonly offences: readonly ExplainedOffence[];
  /** The rows of the table of offences (docs/scoring.md) for the rules of these offences. */
  readonly rules: readonly CitedRule[];
  /** Bans that apply to the subject now. */
  readonly inForce: readonly BanEntry[];
  /** Actions that shadow mode, or consideration for other peers, prevented; latest last. */
  readonly withheld: readonly string[];
  readonly isWhitelisted: boolean;
  /** Addresses from which the peer connected within 24 hours. */
  readonly addressesSeen: readonly string[];
}
