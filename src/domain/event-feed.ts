// The events of this node in order, each with a number, of which the latest are kept: programs that were away continue
// where they stopped.
import type { Notification, NotificationType } from './notification.ts';

/** A notification with its number. The first since the start of this server is 1. */
export interface NumberedEvent {
  readonly number: number;
  readonly notification: Notification;
}

/** Events that are no longer kept and were not read. */
export interface LostEvents {
  /** They are among those after this number … */
  readonly after: number;
  /** … up to this one. */
  readonly to: number;
  /**
   * Exact, unless the reader began with a subset of the types after events that are no longer kept: then it counts
   * lost events of all types.
   */
  readonly count: number;
}

/** Reads the events of some types in order, each once. */
export interface EventReader {
  /** Every event of its types up to this number has been read or lost. */
  readonly position: number;
  /** Up to `max` events; `lost` lies before them. */
  read(max: number): { readonly lost: LostEvents | undefined; readonly events: readonly NumberedEvent[] };
}

export interface EventFeed {
  /** Differs between two starts of the server: numbers of another epoch mean nothing here. Lower case and digits. */
  readonly epoch: string;
  /** Number of the last event; 0 before the first. */
  readonly last: number;
  /** Reads on after an event; `after` is at most `last`. */
  reader(types: ReadonlySet<NotificationType>, after: number): EventReader;
  /** Calls `listener` after each event until the returned function is called; it must neither block nor throw. */
  subscribe(listener: () => void): () => void;
}
