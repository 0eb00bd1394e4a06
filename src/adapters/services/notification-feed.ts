// Passes notifications of the blockchain service to listeners: one queue in the order of arrival and one worker, so
// that a block that must be looked up keeps its place. After any loss (connection, full queue, malformed bytes) the
// best block is read.

import type { BlockHash } from '../../domain/ids.ts';
import { BoundedQueue } from '../../lib/bounded-queue.ts';
import { pause } from '../../lib/pause.ts';
import { type Repeating, repeating } from '../../lib/repeating.ts';
import type {
  BlockchainClient,
  BlockchainNotification,
  BlockHeaderRecord,
  FsmState,
} from '../../ports/blockchain-client.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import { readNotification } from './blockchain-answers.ts';
import type { ServiceChannel } from './service-channel.ts';
import { SubscriptionStream } from './subscription-stream.ts';
import { TipFollower } from './tip-follower.ts';

export type Listener = (notification: BlockchainNotification) => void;

export interface FeedDependencies {
  readonly channel: ServiceChannel;
  readonly chain: Pick<BlockchainClient, 'bestBlockHeader' | 'blockHeader' | 'fsmState'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Notifications queued while look-ups are slow; when the queue is full the oldest is dropped. */
export const MAX_WAITING = 1000;
/**
 * How often the FSM state is requested. This makes up for a lost notification, and the answers keep a Go service, which
 * counts pings on a silent connection, from treating ours as a flood.
 */
const HEARTBEAT_MS = 4000;
/** The service may have forgotten a stream that was silent for so long: the best block is read with each heartbeat. */
const SILENCE_MS = 10_000;

/** `greet`: a new listener waits for the tip. */
type Item = BlockchainNotification | { readonly type: 'greet' };

export class NotificationFeed {
  private readonly deps: FeedDependencies;
  private readonly stream: SubscriptionStream;
  private readonly follower: TipFollower;
  private readonly received: Counter;
  private readonly queue: BoundedQueue<Item>;
  /** A new listener gets the tip before anything else. */
  private readonly listeners = new Map<Listener, 'new' | 'greeted'>();
  private readonly ended = new AbortController();
  private readonly heartbeat: Repeating;
  /** Notifications may have been missed since the best block was last read. */
  private isBehind = true;
  private heardAtMs = 0;
  /** A block was found that a silent stream should have announced. */
  private isSuspect = false;
  private state: FsmState | undefined;
  private wake: () => void = () => {};
  private working: Promise<void> | undefined;

  constructor(deps: FeedDependencies) {
    this.deps = deps;
    const { log, metrics } = deps;
    this.follower = new TipFollower(deps, (record) => this.notifyAll(blockNotification(record)));
    this.received = metrics.counter(
      'teranode_p2p_rpc_notifications_total',
      'Notifications received from the blockchain service, by kind',
      ['kind'],
    );
    const dropped = metrics.counter(
      'teranode_p2p_rpc_notifications_dropped_total',
      'Notifications dropped because the queue was full',
    );
    this.queue = new BoundedQueue({
      maxItems: MAX_WAITING,
      onDrop: () => {
        this.isBehind = true;
        dropped.add();
      },
    });
    this.stream = new SubscriptionStream(deps, {
      opened: () => {
        this.heard();
        this.wake();
      },
      message: (bytes) => this.receive(bytes),
      closed: () => {
        this.isBehind = true;
      },
    });
    this.heartbeat = repeating(
      () => this.beat(),
      { firstMs: HEARTBEAT_MS, nextMs: () => HEARTBEAT_MS },
      (error) => log.debug({ err: error }, 'failed to read the FSM state'),
    );
  }

  get isUp(): boolean {
    return this.stream.isUp;
  }

  get waiting(): number {
    return this.queue.length;
  }

  get listenerCount(): number {
    return this.listeners.size;
  }

  /** As last received from the service; undefined before that. */
  get fsmState(): FsmState | undefined {
    return this.state;
  }

  /** The `source` of the first listener is sent to the service. */
  add(source: string, listener: Listener): void {
    this.listeners.set(listener, 'new');
    this.working ??= this.work();
    this.stream.start(source);
    this.push({ type: 'greet' });
  }

  /** The listener is not called any more. */
  remove(listener: Listener): void {
    this.listeners.delete(listener);
  }

  /** Listeners are not called any more. May be called twice. */
  async stop(): Promise<void> {
    this.listeners.clear();
    this.heartbeat.stop();
    this.ended.abort();
    this.wake();
    await Promise.all([this.stream.stop(), this.working]);
  }

  private receive(bytes: Buffer): void {
    this.heard();
    const { kind, notification } = readNotification(bytes);
    this.received.add(1, { kind });
    if (notification !== undefined) this.push(notification);
    if (kind !== 'malformed') return;
    this.isBehind = true;
    this.wake();
  }

  private heard(): void {
    this.heardAtMs = this.deps.clock.monotonic();
    this.isSuspect = false;
  }

  private get isSilent(): boolean {
    return this.deps.clock.monotonic() - this.heardAtMs > SILENCE_MS;
  }

  private push(item: Item): void {
    this.queue.push(item);
    this.wake();
  }

  private async work(): Promise<void> {
    const { signal } = this.ended;
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.step();
        failures = 0;
      } catch (error) {
        this.isBehind = true;
        if (signal.aborted) return;
        this.deps.log.debug({ failures, err: error }, 'failed to read the best block');
        await pause(this.deps.channel.backoffMs(failures), signal);
        failures += 1;
      }
    }
  }

  /**
   * Handles one item, or catches up, or waits. Items from before a gap keep their place; a block after it brings the
   * missed ones.
   */
  private async step(): Promise<void> {
    if (this.isUp) {
      const item = this.follower.isStarted ? this.queue.shift() : undefined;
      if (item !== undefined) return await this.handle(item);
      if (this.isBehind) {
        this.isBehind = false;
        return await this.catchUp();
      }
    }
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (this.ended.signal.aborted) resolve();
    });
  }

  private async handle(item: Item): Promise<void> {
    if (item.type === 'greet') {
      if ([...this.listeners.values()].includes('new')) await this.catchUp();
    } else if (item.type === 'block') {
      if (!(await this.follower.notified(item.hash))) this.isBehind = true;
    } else if (item.type === 'fsm_state') {
      this.notifyState(item.state);
    } else {
      this.notifyAll(item);
    }
  }

  private async catchUp(): Promise<void> {
    const known = this.follower.tip;
    this.notifyState(await this.deps.chain.fsmState());
    const tip = await this.follower.catchUp();
    this.greet(tip);
    if (known !== undefined && tip !== known && this.isSilent) this.isSuspect = true;
  }

  /** Skips the first state, and repeats: an answer may precede the notification of the same state. */
  private notifyState(state: FsmState): void {
    const isNews = this.state !== undefined && this.state !== state;
    this.state = state;
    if (isNews) this.notifyAll({ type: 'fsm_state', state });
  }

  private greet(tip: BlockHash): void {
    for (const [listener, stage] of this.listeners) {
      if (stage === 'greeted') continue;
      this.listeners.set(listener, 'greeted');
      this.notify(listener, { type: 'block', hash: tip });
    }
  }

  private async beat(): Promise<void> {
    if (!this.isUp) return;
    // Suspect since the previous heartbeat: a notification in transit would have arrived by now.
    if (this.isSuspect) {
      this.deps.log.warn({}, 'subscription to the blockchain service is silent, restarting it');
      this.stream.renew();
      return;
    }
    if (this.isSilent) {
      this.isBehind = true;
      this.wake();
      return;
    }
    this.push({ type: 'fsm_state', state: await this.deps.chain.fsmState() });
  }

  private notifyAll(notification: BlockchainNotification): void {
    for (const [listener, stage] of this.listeners) if (stage === 'greeted') this.notify(listener, notification);
  }

  private notify(listener: Listener, notification: BlockchainNotification): void {
    try {
      listener(notification);
    } catch (error) {
      this.deps.log.error({ notification: notification.type, err: error }, 'blockchain subscriber failed');
    }
  }
}

function blockNotification({ hash, subtreesSet }: BlockHeaderRecord): BlockchainNotification {
  return { type: 'block', hash, ...(subtreesSet === false ? { subtreesSet } : {}) };
}
