// Producer on a Kafka broker. `publish` only puts bytes into a bounded queue; one loop takes batches out and waits for each to be
// acknowledged, so that an outage fills the queue and nothing else, and what was accepted arrives once.
import { setTimeout as sleep } from 'node:timers/promises';
import { Producer as Client } from '@platformatic/kafka';
import { BoundedQueue } from '../../lib/bounded-queue.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Histogram, Metrics } from '../../ports/metrics.ts';
import { deliveryTime, type ProbeResult, type Producer } from '../../ports/producer.ts';
import { probeBroker } from './broker-probe.ts';
import { destroyClient, unlessAborted } from './client-lifetime.ts';
import {
  clientOptions,
  deepestMessage,
  elseNextBroker,
  hasError,
  type KafkaConnection,
  RETRIES,
} from './connection.ts';
import { ensureTopic } from './topic-admin.ts';

export interface KafkaProducerOptions<T> extends KafkaConnection {
  readonly encode: (value: T) => Uint8Array;
  /** `kafka_queue_max_messages`: accepted and not yet acknowledged. */
  readonly maxMessages: number;
  /** `kafka_queue_max_bytes`. */
  readonly maxBytes: number;
}

/** One request carries at most this; a broker's own limit is 1 MiB by default. */
const MAX_BATCH_MESSAGES = 1000;
const MAX_BATCH_BYTES = 512 * 1024;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5000;
const DEFAULT_STOP_MS = 3000;
const ALL_REPLICAS = -1;
const TOO_LARGE = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'];
/** What a queued record costs beside its bytes. */
const RECORD_OVERHEAD_BYTES = 64;

/** Seconds of one request. */
const REQUEST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

interface QueuedRecord {
  readonly value: Uint8Array;
  /** Monotonic ms of `publish`. */
  readonly atMs: number;
}

type ByteClient = Client<Buffer, Buffer, Buffer, Buffer>;

export class KafkaProducer<T> implements Producer<T> {
  readonly topic: string;
  private readonly log: Logger;
  private readonly options: KafkaProducerOptions<T>;
  private readonly queue: BoundedQueue<QueuedRecord>;
  private readonly counters: { readonly dropped: Counter; readonly sent: Counter; readonly errors: Counter };
  private readonly times: { readonly delivery: Histogram; readonly request: Histogram };
  private readonly labels: { readonly topic: string };
  private readonly stopped = new AbortController();
  private inFlight: readonly QueuedRecord[] = [];
  private client: ByteClient | undefined;
  private loop: Promise<void> | undefined;
  private firstQueuedAtMs = 0;
  private wake: (() => void) | undefined;
  /** Less than {@link MAX_BATCH_BYTES} where the broker takes less. */
  private maxBatchBytes = MAX_BATCH_BYTES;
  private isFlushing = false;
  private isAway = false;
  private stopping: Promise<void> | undefined;

  constructor(deps: { readonly log: Logger; readonly metrics: Metrics }, options: KafkaProducerOptions<T>) {
    this.topic = options.url.topic;
    this.log = deps.log;
    this.options = options;
    this.labels = { topic: this.topic };
    const { metrics } = deps;
    this.counters = {
      dropped: metrics.counter('teranode_p2p_kafka_dropped_total', 'Messages dropped before they reached Kafka', [
        'topic',
        'reason',
      ]),
      sent: metrics.counter('teranode_p2p_kafka_sent_total', 'Messages acknowledged by Kafka', ['topic']),
      errors: metrics.counter('teranode_p2p_kafka_errors_total', 'Failed requests to Kafka', ['topic']),
    };
    this.counters.errors.add(0, this.labels);
    for (const reason of ['queue_full', 'stopped', 'too_large'])
      this.counters.dropped.add(0, { ...this.labels, reason });
    this.times = {
      delivery: deliveryTime(metrics),
      request: metrics.histogram(
        'teranode_p2p_kafka_request_seconds',
        'Time of a request that hands messages to Kafka',
        REQUEST_BUCKETS,
        ['topic', 'outcome'],
      ),
    };
    this.queue = new BoundedQueue({
      maxItems: options.maxMessages,
      maxBytes: options.maxBytes,
      sizeOf: ({ value }) => value.byteLength + RECORD_OVERHEAD_BYTES,
      onDrop: () => this.counters.dropped.add(1, { ...this.labels, reason: 'queue_full' }),
    });
    metrics.gauge('teranode_p2p_kafka_queue_length', 'Messages waiting for Kafka', () => this.pending(), this.labels);
    metrics.gauge(
      'teranode_p2p_kafka_queue_bound',
      'Messages waiting for Kafka at most',
      () => options.maxMessages,
      this.labels,
    );
    metrics.gauge(
      'teranode_p2p_kafka_queue_bytes',
      'Bytes of the messages kept for Kafka',
      () => this.queue.bytes,
      this.labels,
    );
    metrics.gauge(
      'teranode_p2p_kafka_queue_bytes_bound',
      'Bytes of the messages kept for Kafka at most',
      () => options.maxBytes,
      this.labels,
    );
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.loop ??= this.run();
  }

  publish(value: T): void {
    if (this.stopped.signal.aborted || this.stopping !== undefined) {
      this.counters.dropped.add(1, { ...this.labels, reason: 'stopped' });
      return;
    }
    if (this.queue.length === 0) this.firstQueuedAtMs = performance.now();
    this.queue.push({ value: this.options.encode(value), atMs: performance.now() });
    // The batch under way counts against the bound too.
    if (this.pending() > this.options.maxMessages && this.queue.shift() !== undefined) {
      this.counters.dropped.add(1, { ...this.labels, reason: 'queue_full' });
    }
    if (this.queue.length === 1 || this.isFull()) this.wake?.();
  }

  /** Messages accepted and not yet acknowledged by the broker. */
  pending(): number {
    return this.queue.length + this.inFlight.length;
  }

  probe(deadlineMs: number): Promise<ProbeResult> {
    return probeBroker(this.options, deadlineMs, this.stopped.signal);
  }

  stop(deadlineMs = DEFAULT_STOP_MS): Promise<void> {
    this.stopping ??= this.stopOnce(deadlineMs);
    return this.stopping;
  }

  private async stopOnce(deadlineMs: number): Promise<void> {
    this.isFlushing = true;
    this.wake?.();
    // With nothing left to hand over there is nothing to wait for, whatever the broker is being asked.
    if (this.pending() > 0) await this.flushed(deadlineMs);
    this.stopped.abort();
    if (this.pending() > 0) {
      this.counters.dropped.add(this.pending(), { ...this.labels, reason: 'stopped' });
      this.log.warn({ topic: this.topic, messages: this.pending() }, 'kafka away at stop, messages lost');
    }
    this.closeClient();
    await this.loop;
  }

  private async flushed(deadlineMs: number): Promise<void> {
    const timer = new AbortController();
    await Promise.race([this.loop, sleep(deadlineMs, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
  }

  private async run(): Promise<void> {
    const { signal } = this.stopped;
    let failures = 0;
    let isReady = false;
    while (!signal.aborted && !(this.isFlushing && this.pending() === 0)) {
      try {
        if (!isReady) await this.prepare();
        isReady = true;
        await elseNextBroker(this.options, () => this.deliver());
        failures = 0;
        this.brokerAnswered();
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        // The topic may be gone.
        isReady = false;
        this.brokerFailed(error);
        this.closeClient();
        await sleep(Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures, 10)), undefined, { signal }).catch(
          () => {},
        );
      }
    }
  }

  private async prepare(): Promise<void> {
    this.maxBatchBytes = MAX_BATCH_BYTES;
    const outcome = await ensureTopic(this.options, this.stopped.signal);
    if (outcome === 'unchanged')
      this.log.warn({ topic: this.topic }, 'kafka topic cannot be configured, used as it is');
    else this.log.debug({ topic: this.topic, outcome }, 'kafka topic ready');
    this.brokerAnswered();
  }

  /** Takes the next batch and sees it acknowledged. A batch that failed stays in hand and goes first. */
  private async deliver(): Promise<void> {
    if (this.inFlight.length === 0) {
      await this.batchIsDue();
      this.inFlight = this.takeBatch();
    }
    if (this.inFlight.length === 0) return;
    this.client ??= new Client({
      ...clientOptions(this.options, RETRIES.producer),
      acks: ALL_REPLICAS,
      idempotent: true,
      autocreateTopics: false,
    });
    const messages = this.inFlight.map(({ value }) => ({
      topic: this.topic,
      value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
    }));
    const { client } = this;
    try {
      await this.timed(() => client.send({ messages, acks: ALL_REPLICAS, idempotent: true }));
    } catch (error) {
      if (!hasError(error, TOO_LARGE)) throw error;
      this.sendLess();
      return;
    }
    this.counters.sent.add(this.inFlight.length, this.labels);
    const nowMs = performance.now();
    for (const { atMs } of this.inFlight) this.times.delivery.observe((nowMs - atMs) / 1000, this.labels);
    this.inFlight = [];
  }

  /** A broker's bound (`max.message.bytes`) holds for the records of a request together. One that is too large alone can never be sent. */
  private sendLess(): void {
    this.counters.errors.add(1, this.labels);
    const bytes = this.inFlight.reduce((sum, { value }) => sum + value.byteLength, 0);
    const half = Math.ceil(this.inFlight.length / 2);
    this.maxBatchBytes = Math.max(1, Math.floor(bytes / 2));
    if (this.inFlight.length === 1) {
      this.counters.dropped.add(1, { ...this.labels, reason: 'too_large' });
      this.log.warn({ topic: this.topic, bytes }, 'kafka takes no message of this size, dropped');
    }
    for (const record of this.inFlight.slice(half).reverse()) this.queue.unshift(record);
    this.inFlight = this.inFlight.length === 1 ? [] : this.inFlight.slice(0, half);
  }

  private async timed(request: () => Promise<unknown>): Promise<void> {
    const startedMs = performance.now();
    let outcome = 'failed';
    try {
      await unlessAborted(this.stopped.signal, request);
      outcome = 'acknowledged';
    } finally {
      this.times.request.observe((performance.now() - startedMs) / 1000, { ...this.labels, outcome });
    }
  }

  /** Waits until a batch is full, old enough, or everything is being flushed. */
  private async batchIsDue(): Promise<void> {
    while (!this.isFlushing && !this.stopped.signal.aborted) {
      if (this.queue.length > 0) {
        const leftMs = this.firstQueuedAtMs + this.options.url.flushIntervalMs - performance.now();
        if (leftMs <= 0 || this.isFull()) return;
        await this.wakened(leftMs);
      } else {
        await this.wakened(undefined);
      }
    }
  }

  private wakened(ms: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.stopped.signal.aborted || this.isFlushing) this.wake();
    });
  }

  private isFull(): boolean {
    const { flushBytes, flushMessages } = this.options.url;
    return (
      this.queue.length >= Math.min(flushMessages, MAX_BATCH_MESSAGES) ||
      this.queue.bytes >= Math.min(flushBytes, MAX_BATCH_BYTES)
    );
  }

  private takeBatch(): QueuedRecord[] {
    const batch: QueuedRecord[] = [];
    let bytes = 0;
    while (batch.length < MAX_BATCH_MESSAGES) {
      bytes += this.queue.at(0)?.value.byteLength ?? 0;
      if (batch.length > 0 && bytes > this.maxBatchBytes) break;
      const next = this.queue.shift();
      if (next === undefined) break;
      batch.push(next);
    }
    this.firstQueuedAtMs = performance.now();
    return batch;
  }

  private brokerFailed(error: unknown): void {
    this.counters.errors.add(1, this.labels);
    const details = { topic: this.topic, brokers: this.options.url.brokers, reason: deepestMessage(error) };
    this.log[this.isAway ? 'debug' : 'warn'](details, 'kafka does not answer');
    this.isAway = true;
  }

  private brokerAnswered(): void {
    if (this.isAway) this.log.info({ topic: this.topic, waiting: this.pending() }, 'kafka answers again');
    this.isAway = false;
  }

  private closeClient(): void {
    if (this.client !== undefined) destroyClient(this.client);
    this.client = undefined;
  }
}
