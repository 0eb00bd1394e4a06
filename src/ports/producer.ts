// The way out to the node's other services. Two implementations: a Kafka broker and the in-process broker.

/** What a health probe found. */
export interface ProbeResult {
  readonly ok: boolean;
  readonly details: string;
}

/**
 * Publishes bytes to one topic. `publish` never blocks and never throws for a slow or absent broker: the message enters a bounded
 * queue, the oldest is dropped and counted when that is full.
 */
export interface Producer {
  readonly topic: string;
  /** Connects in the background; resolves at once even when the broker is away. */
  start(signal: AbortSignal): Promise<void>;
  /** Accepts the message into the queue. After `stop` it is dropped and counted. */
  publish(value: Uint8Array): void;
  /** Messages accepted and not yet acknowledged by the broker. */
  pending(): number;
  /** Asks the broker for an answer; always settles within `deadlineMs`. */
  probe(deadlineMs: number): Promise<ProbeResult>;
  /** Flushes what was accepted, at most `deadlineMs` (default 3000), then closes. May be called twice. */
  stop(deadlineMs?: number): Promise<void>;
}
