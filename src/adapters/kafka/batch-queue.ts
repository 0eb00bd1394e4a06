// The messages that a producer has accepted and the broker has not acknowledged yet: a bounded queue, and the batch
// that is being sent.
import { BoundedQueue } from '../../lib/bounded-queue.ts';

export interface QueuedRecord {
  readonly value: Uint8Array;
  readonly key: Buffer | undefined;
  /** Monotonic ms of `publish`. */
  readonly atMs: number;
  readonly onDropped?: (() => void) | undefined;
  readonly onDelivered?: (() => void) | undefined;
}

export interface BatchQueueOptions {
  /** `kafka_queue_max_messages`: queued and in flight. */
  readonly maxMessages: number;
  /** `kafka_queue_max_bytes`. */
  readonly maxBytes: number;
  /** A batch is due at once when this much is queued. */
  readonly flushMessages: number;
  readonly flushBytes: number;
  /**
   * Ms between the starts of two smaller batches: the first message after a pause is due at once, and what follows
   * waits to be sent together, at most this long, or up to {@link BUSY_INTERVAL_MS} if that is longer and messages are
   * many.
   */
  readonly flushIntervalMs: number;
}

/** One request carries at most this; a broker's own limit is 1 MiB by default. */
const MAX_BATCH_MESSAGES = 1000;
const MAX_BATCH_BYTES = 512 * 1024;
/**
 * A produce request costs about 150 µs of CPU, which matters when messages are many: then requests are further apart,
 * by 4 ms for each 1,000 messages per second, and this far at most.
 */
const BUSY_INTERVAL_MS = 10;
/**
 * Ms after a batch, times the root of its messages. A batch of `rate · interval` messages leads to the next interval,
 * which settles at the square of this times the rate.
 */
const BUSY_MS = 2;
/** What a queued record costs beside its bytes. */
const RECORD_OVERHEAD_BYTES = 64;

function sentBytes({ value, key }: QueuedRecord): number {
  return value.byteLength + (key?.byteLength ?? 0);
}

export class BatchQueue {
  private readonly options: BatchQueueOptions;
  private readonly now: () => number;
  private readonly dropped: (record: QueuedRecord) => void;
  private readonly queue: BoundedQueue<QueuedRecord>;
  private sending: readonly QueuedRecord[] = [];
  /** When the latest batch was taken. */
  private takenAtMs = Number.NEGATIVE_INFINITY;
  /** From then until the next batch is due. */
  private intervalMs: number;
  /** Less than {@link MAX_BATCH_BYTES} where the broker takes less. */
  private maxBatchBytes = MAX_BATCH_BYTES;

  /** `dropped` is called for each message that leaves because the queue is full. `now` is monotonic. */
  constructor(options: BatchQueueOptions, dropped: (record: QueuedRecord) => void, now = () => performance.now()) {
    this.options = options;
    this.intervalMs = options.flushIntervalMs;
    this.dropped = dropped;
    this.now = now;
    this.queue = new BoundedQueue({
      maxItems: options.maxMessages,
      maxBytes: options.maxBytes,
      sizeOf: (record) => sentBytes(record) + RECORD_OVERHEAD_BYTES,
      onDrop: dropped,
    });
  }

  /** Queued and in flight. */
  get pending(): number {
    return this.queue.length + this.sending.length;
  }

  /** Of the queued messages. */
  get bytes(): number {
    return this.queue.bytes;
  }

  /** The batch that is being sent, until it is acknowledged; empty when there is none. */
  get inFlight(): readonly QueuedRecord[] {
    return this.sending;
  }

  /** Queues a message. True when this may make a batch due. */
  push(value: Uint8Array, key?: Buffer, onDropped?: () => void, onDelivered?: () => void): boolean {
    this.queue.push({ value, key, atMs: this.now(), onDropped, onDelivered });
    // The batch in flight counts against the bound too.
    const oldest = this.pending > this.options.maxMessages ? this.queue.shift() : undefined;
    if (oldest !== undefined) this.dropped(oldest);
    return this.queue.length === 1 || this.isFull();
  }

  /**
   * Whole ms until the next batch is due; 0 when it is, undefined while nothing is queued. Rounded, because timers
   * count whole ms: one that rings a little early must not be set again.
   */
  dueInMs(): number | undefined {
    const oldest = this.queue.at(0);
    if (oldest === undefined) return undefined;
    if (this.isFull()) return 0;
    const dueAtMs = Math.min(oldest.atMs, this.takenAtMs) + this.intervalMs;
    return Math.max(0, Math.round(dueAtMs - this.now()));
  }

  /** The batch in flight, else the next one from the queue. */
  nextBatch(): readonly QueuedRecord[] {
    if (this.sending.length === 0) {
      this.sending = this.take();
      this.takenAtMs = this.now();
      const count = this.sending.length;
      const busyMs = count > 1 ? Math.min(BUSY_MS * Math.sqrt(count), BUSY_INTERVAL_MS) : 0;
      this.intervalMs = Math.max(this.options.flushIntervalMs, busyMs);
    }
    return this.sending;
  }

  /** The broker has the batch in flight. */
  acknowledge(): void {
    this.sending = [];
  }

  /**
   * The broker's limit (`max.message.bytes`) holds for all records of a request together: half of the batch goes back
   * to the queue, and later batches are as small. A single record over the limit can never be sent: it is taken out and
   * returned.
   */
  splitBatch(): QueuedRecord | undefined {
    const bytes = this.sending.reduce((sum, record) => sum + sentBytes(record), 0);
    this.maxBatchBytes = Math.max(1, Math.floor(bytes / 2));
    const [first, ...others] = this.sending;
    if (others.length === 0) {
      this.sending = [];
      return first;
    }
    const half = Math.ceil(this.sending.length / 2);
    for (const record of this.sending.slice(half).reverse()) this.queue.unshift(record);
    this.sending = this.sending.slice(0, half);
    return undefined;
  }

  /** Batches may be as large as they were at first: the topic may be another one now. */
  resetBatchSize(): void {
    this.maxBatchBytes = MAX_BATCH_BYTES;
  }

  private isFull(): boolean {
    const { flushBytes, flushMessages } = this.options;
    return (
      this.queue.length >= Math.min(flushMessages, MAX_BATCH_MESSAGES) ||
      this.queue.bytes >= Math.min(flushBytes, MAX_BATCH_BYTES)
    );
  }

  private take(): QueuedRecord[] {
    const batch: QueuedRecord[] = [];
    let bytes = 0;
    for (let next = this.queue.at(0); next !== undefined; next = this.queue.at(0)) {
      bytes += sentBytes(next);
      if (batch.length === MAX_BATCH_MESSAGES || (batch.length > 0 && bytes > this.maxBatchBytes)) break;
      this.queue.shift();
      batch.push(next);
    }
    return batch;
  }
}
