// Consumer on a Kafka broker: as many clients in one group as the URL says, each re-created when its stream ends, until
// stop.
import { Consumer as Client, type Message, type MessagesStream } from '@platformatic/kafka';
import { backoffMs } from '../../lib/backoff.ts';
import { settledWithin } from '../../lib/deadline.ts';
import { pause } from '../../lib/pause.ts';
import { type Consumer, type MessageHandler, type RecordHandler, recordHandler } from '../../ports/consumer.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import type { ProbeResult } from '../../ports/producer.ts';
import type { Decoded } from '../../wire/fault.ts';
import { probeBroker } from './broker-probe.ts';
import { BrokerWatch } from './broker-watch.ts';
import { destroyClient, unlessAborted } from './client-lifetime.ts';
import {
  clientOptions,
  deepestMessage,
  elseNextBroker,
  type KafkaConnection,
  RETRIES,
  RETRY_TIMES,
} from './connection.ts';
import { bySubscription } from './partition-assigner.ts';
import { ensureTopic } from './topic-admin.ts';
import { topicChanged } from './topic-watch.ts';

export interface KafkaConsumerOptions<T> extends KafkaConnection {
  readonly decode: (bytes: Uint8Array) => Decoded<T>;
  /** `p2p.<clientName>`. */
  readonly groupId: string;
}

type ByteMessage = Message<Buffer, Buffer, Buffer, Buffer>;
type ByteStream = MessagesStream<Buffer, Buffer, Buffer, Buffer>;
type ByteClient = Client<Buffer, Buffer, Buffer, Buffer>;

/** Records fetched ahead of the handler. */
const PREFETCH = 256;
const COMMIT_EVERY_MS = 500;
const DEFAULT_STOP_MS = 3000;
const SESSION_TIMEOUT_MS = 10_000;
const LEAVE_DEADLINE_MS = 1000;
/** A commit waits for the end of a rebalance, and would wait for ever when that is lost. */
const COMMIT_DEADLINE_MS = 15_000;
/** When a stream is to end, the current record gets this long to be handled and committed. */
const END_DEADLINE_MS = 5000;

export class KafkaConsumer<T> implements Consumer<T> {
  readonly topic: string;
  private readonly log: Logger;
  private readonly options: KafkaConsumerOptions<T>;
  private readonly restarts: Counter;
  private readonly watch: BrokerWatch;
  private readonly recordHandler: (handler: MessageHandler<T>) => RecordHandler;
  private readonly stopped = new AbortController();
  private readonly open = new Map<ByteClient, ByteStream | undefined>();
  private loops: Promise<void>[] = [];
  private stopping: Promise<void> | undefined;

  constructor(deps: { readonly log: Logger; readonly metrics: Metrics }, options: KafkaConsumerOptions<T>) {
    this.topic = options.url.topic;
    this.log = deps.log;
    this.options = options;
    this.watch = new BrokerWatch(deps, options);
    this.recordHandler = recordHandler(deps, this.topic, options.decode);
    this.restarts = deps.metrics.counter('teranode_p2p_kafka_consumer_restarts_total', 'Restarts of Kafka consumers', [
      'topic',
    ]);
  }

  async start(handler: MessageHandler<T>, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.loops.length > 0) return;
    this.loops = Array.from({ length: this.options.url.consumers }, () => this.run(this.recordHandler(handler)));
    void this.watch.run(this.stopped.signal);
  }

  probe(deadlineMs: number): Promise<ProbeResult> {
    return probeBroker(this.options, deadlineMs, this.stopped.signal);
  }

  stop(deadlineMs = DEFAULT_STOP_MS): Promise<void> {
    this.stopping ??= this.stopOnce(deadlineMs);
    return this.stopping;
  }

  private async stopOnce(deadlineMs: number): Promise<void> {
    this.stopped.abort();
    // Closing a stream ends the loop that reads it, which then leaves the group.
    for (const stream of this.open.values()) void stream?.close().catch(() => {});
    await settledWithin(this.loops, deadlineMs);
    for (const [client, stream] of this.open) destroyClient(client, stream);
  }

  private async run(handle: RecordHandler): Promise<void> {
    const { signal } = this.stopped;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await ensureTopic(this.options, signal);
        await elseNextBroker(this.options, () =>
          this.consume(handle, () => {
            failures = 0;
          }),
        );
      } catch (error) {
        if (signal.aborted) return;
        const details = { topic: this.topic, reason: deepestMessage(error) };
        this.log[failures === 0 ? 'warn' : 'debug'](details, 'Kafka consumer failed');
      }
      if (signal.aborted) return;
      failures += 1;
      this.restarts.add(1, { topic: this.topic });
      await pause(backoffMs(RETRY_TIMES, failures), signal);
    }
  }

  /** Reads until the stream ends or fails, or the topic has changed. */
  private async consume(handle: RecordHandler, handledOne: () => void): Promise<void> {
    const { groupId } = this.options;
    const client: ByteClient = new Client({
      ...clientOptions(this.options, RETRIES.consumer),
      groupId,
      sessionTimeout: SESSION_TIMEOUT_MS,
      partitionAssigner: bySubscription,
    });
    this.open.set(client, undefined);
    const over = new AbortController();
    const done = new AbortController();
    void this.watchTopic(client, over, AbortSignal.any([done.signal, this.stopped.signal]));
    try {
      const stream = await this.openStream(client, over.signal);
      this.open.set(client, stream);
      await this.read(stream, over.signal, handle, handledOne);
    } finally {
      done.abort();
      await close(client, this.open.get(client));
      this.open.delete(client);
    }
  }

  /** Ends the stream when its topic has changed, or the client has silently lost its group membership. */
  private async watchTopic(client: ByteClient, over: AbortController, done: AbortSignal): Promise<void> {
    const lost = Promise.withResolvers<string>();
    client.on('error', (error) => lost.resolve(deepestMessage(error)));
    client.on('consumer:heartbeat:stalled', () => lost.resolve('no heartbeat'));
    const changed = topicChanged(this.options, done).then(() => 'topic changed');
    const reason = await Promise.race([changed, lost.promise]);
    if (done.aborted) return;
    this.log.warn({ topic: this.topic, reason }, 'restarting Kafka consumer');
    over.abort();
    void this.open
      .get(client)
      ?.close()
      .catch(() => {});
    await pause(END_DEADLINE_MS, done);
    if (!done.aborted) destroyClient(client, this.open.get(client));
  }

  private async read(
    stream: ByteStream,
    over: AbortSignal,
    handle: RecordHandler,
    handledOne: () => void,
  ): Promise<void> {
    /** Per partition, the last handled record that is not committed. */
    const handled = new Map<number, ByteMessage>();
    const newest = new Map<number, bigint>();
    let committedAtMs = performance.now();
    for await (const message of stream) {
      const { value, partition, offset } = message;
      // When the group changes, the client fetches again what is already buffered here.
      if (offset > (newest.get(partition) ?? -1n)) {
        await handle(value, offset);
        newest.set(partition, offset);
        handled.set(partition, message);
        handledOne();
      }
      const isLast = this.stopped.signal.aborted || over.aborted;
      if (isLast || stream.readableLength === 0 || performance.now() - committedAtMs > COMMIT_EVERY_MS) {
        const late = AbortSignal.timeout(COMMIT_DEADLINE_MS);
        await unlessAborted(late, () => Promise.all([...handled.values()].map((each) => each.commit())));
        handled.clear();
        committedAtMs = performance.now();
      }
      if (isLast) return;
    }
  }

  private async openStream(client: ByteClient, over: AbortSignal): Promise<ByteStream> {
    const { url } = this.options;
    const signal = AbortSignal.any([this.stopped.signal, over]);
    return await unlessAborted(signal, async () => {
      const stream = await client.consume({
        topics: [url.topic],
        mode: 'committed',
        fallbackMode: url.replay ? 'earliest' : 'latest',
        autocommit: false,
        highWaterMark: PREFETCH,
        maxWaitTime: 500,
      });
      if (signal.aborted) destroyClient(client, stream);
      return stream;
    });
  }
}

/**
 * Leaves the group, so that other consumers need not wait for the session to expire. Does not wait long for the broker.
 */
async function close(client: ByteClient, stream: ByteStream | undefined): Promise<void> {
  const late = AbortSignal.timeout(LEAVE_DEADLINE_MS);
  try {
    await unlessAborted(late, async () => {
      await stream?.close();
      await client.close(true);
    });
  } catch {
    // Already closed, or the broker is down.
  } finally {
    destroyClient(client, stream);
  }
}
