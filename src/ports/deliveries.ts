// Which neighbours deliver valid announcements first. The P2P node reports what comes later and asks whom to prefer in
// the mesh; the gossip pipeline counts what comes first.
import type { PeerId } from '../domain/ids.ts';

/** How a neighbour delivers announcements to us, over the last hours. */
export interface DeliveryStanding {
  /** Announcements that it delivered first, decayed: one counts half after an hour. */
  readonly firstDeliveries: number;
  /** The same for announcements that it delivered after another neighbour had. */
  readonly laterDeliveries: number;
  /** Its share of all first deliveries, from 0 to 1. */
  readonly firstDeliveryShare: number;
  /** Mean delay of its later deliveries behind the first; undefined without any. */
  readonly meanDelayMs: number | undefined;
}

/** A row of the league table. */
export interface LeagueRow extends DeliveryStanding {
  readonly peerId: PeerId;
}

export interface DeliveryRecord {
  /** Rises with each first delivery that counts. A node compares it before and after it hands a message on. */
  readonly counted: number;
  /** Whether the author itself made the last one. */
  readonly wasByAuthor: boolean;
  /** The message of the last one, by two halves of a hash of its ID. */
  identified(low: number, high: number): void;
  /**
   * A message that counted came again, from this neighbour, `delayMs` after its first delivery. `isByAuthor`: that was
   * made by the author. `low` and `high`: see `identified`.
   */
  deliveredLater(neighbour: PeerId, delayMs: number, isByAuthor: boolean, low: number, high: number): void;
  /** How much a neighbour is preferred among equals, from 0 to 1. */
  preferenceOf(neighbour: PeerId): number;
}

/** Counts nothing and prefers nobody. */
export const NO_DELIVERIES: DeliveryRecord = {
  counted: 0,
  wasByAuthor: false,
  identified: () => {},
  deliveredLater: () => {},
  preferenceOf: () => 0,
};
