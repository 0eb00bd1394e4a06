// The in-process broker behind `memory://` URLs, for running without Kafka. Bounded logs and consumer groups with
// offsets; within this process it keeps the promises of a real broker, but nothing outlasts the process.
import { ByteQueue } from '../../lib/byte-queue.ts';
import { type Consumer, type MessageHandler, type RecordHandler, recordHandler } from '../../ports/consumer.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Histogram, Metrics } from '../../ports/metrics.ts';
import { deliveryTime, type ProbeResult, type Producer, queueGauges } from '../../ports/producer.ts';
import type { Decoded } from '../../wire/fault.ts';

export interface MemoryBrokerOptions {
  /** Records kept per topic; the oldest is dropped first. */
  readonly maxMessages: number;
  readonly maxBytes: number;
}

interface Group {
  /** Offset of the next record to deliver. */
  next: bigint;
  /** Resolved when there may be more records; shared by all waiting consumers. */
  more: PromiseWithResolvers<void> | undefined;
}

interface Topic {
  readonly log: ByteQueue;
  /** Offset of the oldest record kept. */
  first: bigint;
  readonly groups: Map<string, Group>;
}

const RECORD_OVERHEAD_BYTES = 64;

export class MemoryBroker {
  private readonly options: MemoryBrokerOptions;
  private readonly metrics: Metrics;
  private readonly dropped: Counter;
  private readonly topics = new Map<string, Topic>();

  constructor(deps: { readonly metrics: Metrics }, options: MemoryBrokerOptions) {
    this.options = options;
    this.metrics = deps.metrics;
    this.dropped = deps.metrics.counter(
      'teranode_p2p_kafka_dropped_total',
      'Messages dropped before they reached Kafka',
      ['topic', 'reason'],
    );
  }

  append(topicName: string, value: Uint8Array): void {
    const topic = this.topic(topicName);
    topic.log.push(value);
    for (const group of topic.groups.values()) wake(group);
  }

  /** Joins a group; a new group begins at the oldest record with `replay`, else after the newest. */
  join(topicName: string, groupId: string, replay: boolean): void {
    const topic = this.topic(topicName);
    if (!topic.groups.has(groupId)) {
      topic.groups.set(groupId, {
        next: replay ? topic.first : topic.first + BigInt(topic.log.length),
        more: undefined,
      });
    }
  }

  /** The group's next record; undefined when it has read all. */
  take(topicName: string, groupId: string): { readonly value: Uint8Array; readonly offset: bigint } | undefined {
    const topic = this.topic(topicName);
    const group = topic.groups.get(groupId);
    if (group === undefined) return undefined;
    if (group.next < topic.first) group.next = topic.first;
    const value = topic.log.at(Number(group.next - topic.first));
    if (value === undefined) return undefined;
    const offset = group.next;
    group.next += 1n;
    return { value, offset };
  }

  /** Resolves when a record of the topic was appended, or the group is woken. */
  more(topicName: string, groupId: string): Promise<void> {
    const group = this.topic(topicName).groups.get(groupId);
    if (group === undefined) return Promise.resolve();
    group.more ??= Promise.withResolvers();
    return group.more.promise;
  }

  /** Lets waiting consumers check again, whether or not there are more records. */
  wake(topicName: string, groupId: string): void {
    const group = this.topic(topicName).groups.get(groupId);
    if (group !== undefined) wake(group);
  }

  private topic(name: string): Topic {
    const known = this.topics.get(name);
    if (known !== undefined) return known;
    const topic: Topic = {
      log: new ByteQueue({
        maxRecords: this.options.maxMessages,
        maxBytes: this.options.maxBytes,
        overheadBytes: RECORD_OVERHEAD_BYTES,
        onDrop: () => {
          topic.first += 1n;
          if (![...topic.groups.values()].every((group) => group.next >= topic.first)) {
            this.dropped.add(1, { topic: name, reason: 'queue_full' });
          }
        },
      }),
      first: 0n,
      groups: new Map(),
    };
    this.topics.set(name, topic);
    queueGauges(this.metrics, name, this.options, { length: () => unread(topic), bytes: () => topic.log.bytes });
    return topic;
  }
}

function wake(group: Group): void {
  group.more?.resolve();
  group.more = undefined;
}

/** Records that the slowest group has not read yet; none without groups. */
function unread({ first, log, groups }: Topic): number {
  const end = first + BigInt(log.length);
  return Number([...groups.values()].reduce((most, { next }) => (end - next > most ? end - next : most), 0n));
}

const IN_PROCESS: ProbeResult = { ok: true, details: 'in-process broker' };

export interface MemoryProducerOptions<T> {
  readonly topic: string;
  readonly encode: (value: T) => Uint8Array;
}

export class MemoryProducer<T> implements Producer<T> {
  readonly topic: string;
  private readonly broker: MemoryBroker;
  private readonly dropped: Counter;
  private readonly sent: Counter;
  private readonly delivery: Histogram;
  private readonly encode: (value: T) => Uint8Array;
  private isStopped = false;

  constructor(deps: { readonly broker: MemoryBroker; readonly metrics: Metrics }, options: MemoryProducerOptions<T>) {
    this.topic = options.topic;
    this.encode = options.encode;
    this.broker = deps.broker;
    this.dropped = deps.metrics.counter(
      'teranode_p2p_kafka_dropped_total',
      'Messages dropped before they reached Kafka',
      ['topic', 'reason'],
    );
    for (const reason of ['queue_full', 'stopped']) this.dropped.add(0, { topic: this.topic, reason });
    this.sent = deps.metrics.counter('teranode_p2p_kafka_sent_total', 'Messages acknowledged by Kafka', ['topic']);
    this.delivery = deliveryTime(deps.metrics);
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  publish(value: T, onDropped?: () => void, onDelivered?: () => void): void {
    if (this.isStopped) {
      this.dropped.add(1, { topic: this.topic, reason: 'stopped' });
      onDropped?.();
      return;
    }
    const startedMs = performance.now();
    this.broker.append(this.topic, this.encode(value));
    this.sent.add(1, { topic: this.topic });
    this.delivery.observe((performance.now() - startedMs) / 1000, { topic: this.topic });
    onDelivered?.();
  }

  async probe(): Promise<ProbeResult> {
    return IN_PROCESS;
  }

  async stop(): Promise<void> {
    this.isStopped = true;
  }
}

export interface MemoryConsumerOptions<T> {
  readonly topic: string;
  readonly groupId: string;
  /** A new group begins at the oldest record. */
  readonly replay: boolean;
  readonly decode: (bytes: Uint8Array) => Decoded<T>;
}

export class MemoryConsumer<T> implements Consumer<T> {
  readonly topic: string;
  private readonly broker: MemoryBroker;
  private readonly options: MemoryConsumerOptions<T>;
  private readonly recordHandler: (handler: MessageHandler<T>) => RecordHandler;
  private isStopped = false;
  private loop: Promise<void> | undefined;

  constructor(
    deps: { readonly broker: MemoryBroker; readonly log: Logger; readonly metrics: Metrics },
    options: MemoryConsumerOptions<T>,
  ) {
    this.topic = options.topic;
    this.broker = deps.broker;
    this.options = options;
    this.recordHandler = recordHandler(deps, this.topic, options.decode);
  }

  async start(handler: MessageHandler<T>, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.broker.join(this.topic, this.options.groupId, this.options.replay);
    this.loop ??= this.run(this.recordHandler(handler));
  }

  async probe(): Promise<ProbeResult> {
    return IN_PROCESS;
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.broker.wake(this.topic, this.options.groupId);
    await this.loop;
  }

  private async run(handle: RecordHandler): Promise<void> {
    while (!this.isStopped) {
      const record = this.broker.take(this.topic, this.options.groupId);
      if (record === undefined) {
        await this.broker.more(this.topic, this.options.groupId);
        continue;
      }
      await handle(record.value, record.offset);
    }
  }
}
