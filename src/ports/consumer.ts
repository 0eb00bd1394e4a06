// The way in from the node's other services. Two implementations: a Kafka broker and the in-process broker.
import type { Decoded } from '../wire/fault.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { ProbeResult } from './producer.ts';

/** A record of a topic. */
export interface ConsumedMessage<T> {
  /** The decoded value, or what is wrong with its bytes. */
  readonly value: Decoded<T>;
  /** The record as it came. */
  readonly bytes?: Uint8Array;
  readonly topic: string;
  readonly offset: bigint;
}

/**
 * Handles one record. A throw is logged and counted; the record is committed all the same, and the next one follows.
 */
export type MessageHandler<T> = (message: ConsumedMessage<T>) => void | Promise<void>;

/** Reads one topic within a consumer group and commits what its handler has seen. */
export interface Consumer<T> {
  /** Begins to read; reconnects for ever. Resolves at once even when the broker is down. */
  start(handler: MessageHandler<T>, signal: AbortSignal): Promise<void>;
  /** Asks the broker for an answer; always settles within `deadlineMs`. */
  probe(deadlineMs: number): Promise<ProbeResult>;
  /** Finishes the current record, commits, closes; at most `deadlineMs` (default 3000). May be called twice. */
  stop(deadlineMs?: number): Promise<void>;
}

/** Handles one record's bytes; never rejects. */
export type RecordHandler = (bytes: Uint8Array, offset: bigint) => Promise<void>;

/**
 * What every consumer does with a record: decodes it, hands it over, counts the outcome, logs a handler that failed.
 */
export function recordHandler<T>(
  { log, metrics }: { readonly log: Logger; readonly metrics: Metrics },
  topic: string,
  decode: (bytes: Uint8Array) => Decoded<T>,
): (handler: MessageHandler<T>) => RecordHandler {
  const consumed = metrics.counter('teranode_p2p_kafka_consumed_total', 'Records read from Kafka', [
    'topic',
    'outcome',
  ]);
  return (handler) => async (bytes, offset) => {
    try {
      await handler({ value: decode(bytes), bytes, topic, offset });
      consumed.add(1, { topic, outcome: 'handled' });
    } catch (error) {
      consumed.add(1, { topic, outcome: 'failed' });
      log.error({ topic, offset: String(offset), err: error }, 'record handler failed');
    }
  };
}
