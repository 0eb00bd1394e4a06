// The way in from the node's other services.
import type { ProbeResult } from './producer.ts';

/** A record of a topic. */
export interface ConsumedMessage {
  readonly value: Uint8Array;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
}

/** Handles one record. A throw is logged and counted; the record is committed all the same and the partition goes on. */
export type MessageHandler = (message: ConsumedMessage) => void | Promise<void>;

/** Reads one topic within a consumer group and commits what its handler has seen. */
export interface Consumer {
  readonly topic: string;
  /** Begins to read; reconnects for ever. Resolves at once even when the broker is away. */
  start(handler: MessageHandler, signal: AbortSignal): Promise<void>;
  /** Asks the broker for an answer; always settles within `deadlineMs`. */
  probe(deadlineMs: number): Promise<ProbeResult>;
  /** Finishes the record in hand, commits, closes; at most `deadlineMs` (default 3000). May be called twice. */
  stop(deadlineMs?: number): Promise<void>;
}
