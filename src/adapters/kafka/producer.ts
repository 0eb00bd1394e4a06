// Producer on a Kafka broker. `publish` only puts bytes into a bounded queue; one loop sends batches and waits for each
// to be acknowledged. An outage therefore fills the queue and nothing else, and every accepted message arrives once.
import { setImmediate as endOfTurn } from 'node:timers/promises';
import { Producer as Client } from '@platformatic/kafka';
import { backoffMs } from '../../lib/backoff.ts';
import { orAfter } from '../../lib/deadline.ts';
import { pause } from '../../lib/pause.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Histogram, Metrics } from '../../ports/metrics.ts';
import { deliveryTime, type ProbeResult, type Producer, queueGauges } from '../../ports/producer.ts';
import { BatchQueue, type QueuedRecord } from './batch-queue.ts';
import { probeBroker } from './broker-probe.ts';
import { BrokerWatch } from './broker-watch.ts';
import { destroyClient, unlessAborted } from './client-lifetime.ts';
import { clientOptions, elseNextBroker, hasError, type KafkaConnection, RETRIES, RETRY_TIMES } from './connection.ts';
import { ensureTopic } from './topic-admin.ts';

export interface KafkaProducerOptions<T> extends KafkaConnection {
  readonly encode: (value: T) => Uint8Array;
  /** Key of a record, which decides its partition. Default: none; the partitions take turns. */
  readonly keyOf?: (value: T) => string;
  /** `kafka_queue_max_messages`: accepted and not yet acknowledged. */
  readonly maxMessages: number;
  /** `kafka_queue_max_bytes`. */
  readonly maxBytes: number;
}

const DEFAULT_STOP_MS = 3000;
const ALL_REPLICAS = -1;
const TOO_LARGE = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'];

/** Seconds of one request. */
const REQUEST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

type ByteClient = Client<Buffer, Buffer, Buffer, Buffer>;

export class KafkaProducer<T> implements Producer<T> {
  private readonly topic: string;
  private readonly log: Logger;
  private readonly options: KafkaProducerOptions<T>;
  private readonly queue: BatchQueue;
  private readonly counters: { readonly dropped: Counter; readonly sent: Counter };
  private readonly times: { readonly delivery: Histogram; readonly request: Histogram };
  private readonly labels: { readonly topic: string };
  private readonly stopped = new AbortController();
  private client: ByteClient | undefined;
  private loop: Promise<void> | undefined;
  private wake: (() => void) | undefined;
  private isFlushing = false;
  private readonly watch: BrokerWatch;
  private stopping: Promise<void> | undefined;

  constructor(deps: { readonly log: Logger; readonly metrics: Metrics }, options: KafkaProducerOptions<T>) {
    this.topic = options.url.topic;
    this.log = deps.log;
    this.options = options;
    this.labels = { topic: this.topic };
    this.counters = counters(deps.metrics, this.labels);
    this.watch = new BrokerWatch(deps, options);
    this.times = {
      delivery: deliveryTime(deps.metrics),
      request: deps.metrics.histogram(
        'teranode_p2p_kafka_request_seconds',
        'Duration of a produce request to Kafka, in seconds',
        REQUEST_BUCKETS,
        ['topic', 'outcome'],
      ),
    };
    this.queue = new BatchQueue({ ...options.url, ...options }, ({ onDropped }) => {
      this.dropped('queue_full');
      onDropped?.();
    });
    queueGauges(deps.metrics, this.topic, options, { length: () => this.pending(), bytes: () => this.queue.bytes });
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.loop !== undefined) return;
    this.loop = this.run();
    void this.watch.run(this.stopped.signal);
  }

  publish(value: T, onDropped?: () => void, onDelivered?: () => void): void {
    const { encode, keyOf } = this.options;
    if (this.stopping !== undefined) {
      this.dropped('stopped');
      onDropped?.();
    } else if (this.queue.push(encode(value), keyOf && Buffer.from(keyOf(value)), onDropped, onDelivered))
      this.wake?.();
  }

  /** Messages accepted and not yet acknowledged by the broker. */
  pending(): number {
    return this.queue.pending;
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
    // With nothing left to deliver there is nothing to wait for, whatever request to the broker is open.
    if (this.pending() > 0 && this.loop !== undefined) await orAfter(this.loop, deadlineMs, undefined);
    this.stopped.abort();
    if (this.pending() > 0) {
      this.dropped('stopped', this.pending());
      this.log.warn({ topic: this.topic, messages: this.pending() }, 'Kafka unavailable at stop, messages lost');
    }
    this.closeClient();
    await this.loop;
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
        this.watch.requestAnswered();
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        // The topic may be gone.
        isReady = false;
        this.watch.requestFailed(error);
        this.closeClient();
        await pause(backoffMs(RETRY_TIMES, failures), signal);
      }
    }
  }

  private async prepare(): Promise<void> {
    this.queue.resetBatchSize();
    const outcome = await ensureTopic(this.options, this.stopped.signal);
    if (outcome === 'unchanged')
      this.log.warn({ topic: this.topic }, 'cannot configure Kafka topic, using it as it is');
    else this.log.debug({ topic: this.topic, outcome }, 'Kafka topic ready');
    this.watch.requestAnswered();
  }

  /**
   * Takes the next batch and waits for its acknowledgement. A batch that failed stays in flight and is sent again
   * first.
   */
  private async deliver(): Promise<void> {
    if (this.queue.inFlight.length === 0) await this.batchIsDue();
    const batch = this.queue.nextBatch();
    if (batch.length === 0) return;
    this.client ??= new Client({
      ...clientOptions(this.options, RETRIES.producer, (error) => this.watch.requestFailed(error)),
      acks: ALL_REPLICAS,
      idempotent: true,
      autocreateTopics: false,
    });
    const messages = batch.map(({ value, key }) => ({
      topic: this.topic,
      value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
      ...(key === undefined ? {} : { key }),
    }));
    const { client } = this;
    try {
      await this.timed(() => client.send({ messages, acks: ALL_REPLICAS, idempotent: true }));
    } catch (error) {
      if (!hasError(error, TOO_LARGE)) throw error;
      this.sendLess();
      return;
    }
    this.delivered(batch);
  }

  private delivered(batch: readonly QueuedRecord[]): void {
    this.counters.sent.add(batch.length, this.labels);
    const nowMs = performance.now();
    for (const { atMs, onDelivered } of batch) {
      this.times.delivery.observe((nowMs - atMs) / 1000, this.labels);
      onDelivered?.();
    }
    this.queue.acknowledge();
  }

  private sendLess(): void {
    this.watch.count();
    const tooLarge = this.queue.splitBatch();
    if (tooLarge === undefined) return;
    this.dropped('too_large');
    tooLarge.onDropped?.();
    const bytes = tooLarge.value.byteLength;
    this.log.warn({ topic: this.topic, bytes }, 'dropped a message that is too large for Kafka');
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

  /** Waits until a batch is due, or everything is being flushed. */
  private async batchIsDue(): Promise<void> {
    while (!this.isFlushing && !this.stopped.signal.aborted) {
      const dueInMs = this.queue.dueInMs();
      if (dueInMs === 0) return whatArrivedTogether();
      await this.wokenWithin(dueInMs);
    }
  }

  private wokenWithin(ms: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.stopped.signal.aborted || this.isFlushing) this.wake();
    });
  }

  private dropped(reason: 'queue_full' | 'stopped' | 'too_large', count = 1): void {
    this.counters.dropped.add(count, { ...this.labels, reason });
  }

  private closeClient(): void {
    if (this.client !== undefined) destroyClient(this.client);
    this.client = undefined;
  }
}

/**
 * What arrived together goes together. A timer rings before the sockets are read, and gossip is handled at the end of
 * that turn: the second end is after it.
 */
async function whatArrivedTogether(): Promise<void> {
  await endOfTurn();
  await endOfTurn();
}

function counters(metrics: Metrics, labels: { readonly topic: string }) {
  const dropped = metrics.counter('teranode_p2p_kafka_dropped_total', 'Messages dropped before they reached Kafka', [
    'topic',
    'reason',
  ]);
  const sent = metrics.counter('teranode_p2p_kafka_sent_total', 'Messages acknowledged by Kafka', ['topic']);
  for (const reason of ['queue_full', 'stopped', 'too_large']) dropped.add(0, { ...labels, reason });
  return { dropped, sent };
}
