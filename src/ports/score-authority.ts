// Who keeps the scores of authors, and the bans by peer ID that follow from them, in place of this node: the blockchain
// service where it has a peer registry. Nothing here delays a decision for long: while it does not answer, this node's
// own scores decide.
import type { PeerId } from '../domain/ids.ts';
import type { HistoryKeeper } from './peer-histories.ts';

export interface ScoreAnswer {
  readonly score: number;
  /** True only for the offence that led to the ban. */
  readonly isNewBan: boolean;
}

export interface ScoreAuthority {
  keptBy(): HistoryKeeper;
  /** Whether an answer is to be expected soon. */
  isAnswering(): boolean;
  /**
   * Adds an offence to a peer's score; `reason` is the name of its rule where it costs other points than its reason.
   * Delivered later when there is no answer now. Resolves with undefined when it was
   * refused or dropped. Never throws.
   */
  addOffence(peerId: PeerId, reason: string, points: number): Promise<ScoreAnswer | undefined>;
  /** As known now, a few seconds old at most; undefined for a peer that is unknown there. */
  scoreOf(peerId: PeerId): number | undefined;
  /** Peers that are banned there; undefined when there is no answer. Never throws. */
  bannedPeers(): Promise<readonly PeerId[] | undefined>;
  /** Lifts all bans and forgets all scores there; later when there is no answer now. Never throws. */
  clearBans(): Promise<void>;
}
