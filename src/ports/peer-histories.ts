// Where experiences with peers are kept: in the blockchain service where it has a peer registry, else in this process.
import type { PeerId } from '../domain/ids.ts';
import type { PeerEvent, PeerHistory } from '../domain/peer-history.ts';

/** Who keeps the histories and scores of peers. */
export type HistoryKeeper = 'this node' | 'blockchain service';

export interface PeerHistories {
  /** Resolves when reads answer. */
  start(signal: AbortSignal): Promise<void>;
  /** May be called twice. */
  stop(): Promise<void>;
  /** As known now, a few seconds old at most where a service keeps it; undefined for a peer without a history. */
  historyOf(peerId: PeerId): PeerHistory | undefined;
  /** Every peer with a history; bounded. */
  histories(): readonly PeerHistory[];
  /**
   * Resolves when it is recorded; within a second when a service keeps the histories and does not answer: then it is
   * recorded once the service answers again. Throws RPC_FAILED when the service refuses it.
   */
  record(peerId: PeerId, event: PeerEvent): Promise<void>;
  /**
   * Forgets interactions and reputation of one peer, or of all. Resolves with the number of peers that were reset. This
   * and the next two throw RPC_FAILED when a service keeps the histories and does not answer.
   */
  reset(peerId: PeerId | undefined): Promise<number>;
  /**
   * Gives peers whose reputation is below 20 and that had no failure for the cool-down another chance (reputation 30).
   * Resolves with their number.
   */
  reconsider(cooldownMs: number): Promise<number>;
  /** Forgets when syncs were tried. Resolves with the number of peers. */
  clearSyncAttempts(): Promise<number>;
  /** Who keeps the histories: this process, or the blockchain service. */
  keptBy(): HistoryKeeper;
}
