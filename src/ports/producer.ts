// The way out to the node's other services. Two implementations: a Kafka broker and the in-process broker.
import { gaugeWithBound, type Histogram, type Metrics } from './metrics.ts';

/** What a health probe found. */
export interface ProbeResult {
  readonly ok: boolean;
  readonly details: string;
}

/**
 * Publishes values to one topic; the implementation makes the bytes. `publish` does not wait and does not throw for a
 * slow or absent broker: the message enters a bounded queue, and when that is full the oldest message is dropped and
 * counted.
 */
export interface Producer<T> {
  /** Connects in the background; resolves at once even when the broker is down. */
  start(signal: AbortSignal): Promise<void>;
  /**
   * Accepts the message into the queue. After `stop` the message is dropped and counted. `onDropped` is called at most
   * once, for a message that leaves the queue without reaching the broker, and `onDelivered` when the broker has
   * acknowledged it, by producers that know; both must be cheap and must not throw.
   */
  publish(value: T, onDropped?: () => void, onDelivered?: () => void): void;
  /** Asks the broker for an answer; always settles within `deadlineMs`. */
  probe(deadlineMs: number): Promise<ProbeResult>;
  /** Flushes what was accepted, at most `deadlineMs` (default 3000), then closes. May be called twice. */
  stop(deadlineMs?: number): Promise<void>;
}

/** Seconds; up to minutes after an outage. */
const DELIVERY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];

/** What every producer observes for each message, with its topic. */
export function deliveryTime(metrics: Metrics): Histogram {
  return metrics.histogram(
    'teranode_p2p_kafka_delivery_seconds',
    'Time from the gossip handler to the broker’s acknowledgement of a message, in seconds',
    DELIVERY_BUCKETS,
    ['topic'],
  );
}

/** The gauges of every bounded queue in front of a topic. */
export function queueGauges(
  metrics: Metrics,
  topic: string,
  bounds: { readonly maxMessages: number; readonly maxBytes: number },
  queue: { readonly length: () => number; readonly bytes: () => number },
): void {
  const labels = { topic };
  const length = { name: 'teranode_p2p_kafka_queue_length', help: 'Messages waiting for Kafka', labels };
  const bytes = { name: 'teranode_p2p_kafka_queue_bytes', help: 'Bytes of the messages waiting for Kafka', labels };
  gaugeWithBound(metrics, length, queue.length, bounds.maxMessages);
  gaugeWithBound(metrics, bytes, queue.bytes, bounds.maxBytes);
}
