// From the service's stream to listeners: one queue in the order of arrival, worked off by one worker, so that a block that must be looked up
// keeps its place. Whatever is lost on the way (connection, full queue, bytes that mean nothing) ends in reading the best block.

import type { BlockHash } from '../../domain/ids.ts';
import { BoundedQueue } from '../../lib/bounded-queue.ts';
import { pause } from '../../lib/pause.ts';
import { type Repeating, repeating } from '../../lib/repeating.ts';
import type { BlockchainClient, BlockchainNotification, FsmState } from '../../ports/blockchain-client.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import { readNotification } from './blockchain-answers.ts';
import { NotificationStream } from './notification-stream.ts';
import type { ServiceChannel } from './service-channel.ts';
import { TipFollower } from './tip-follower.ts';

export type Listener = (notification: BlockchainNotification) => void;

export interface FeedDependencies {
  readonly channel: ServiceChannel;
  readonly chain: Pick<BlockchainClient, 'bestBlockHeader' | 'blockHeader' | 'fsmState'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Notifications that wait while the service is slow with look-ups; the oldest is dropped. */
export const MAX_WAITING = 1000;
/**
 * How often the state is asked for: a notification of it that never came is made up for, and the answers keep a Go service, which counts pings
 * on a silent connection, from taking ours for a flood.
 */
const HEARTBEAT_MS = 4000;
/** A stream on which nothing came for so long may be one that the service has forgotten: the best block is read with each heartbeat. */
const SILENCE_MS = 10_000;

/** `greet`: somebody new waits for the tip. */
type Item = BlockchainNotification | { readonly type: 'greet' };

export class NotificationFeed {
  private readonly deps: FeedDependencies;
  private readonly stream: NotificationStream;
  private readonly follower: TipFollower;
  private readonly received: Counter;
  private readonly queue: BoundedQueue<Item>;
  /** Those that have not heard the tip yet hear nothing else. */
  private readonly listeners = new Map<Listener, 'new' | 'greeted'>();
  private readonly ended = new AbortController();
  private readonly heartbeat: Repeating;
  /** Something may have been missed since the best block was read last. */
  private isBehind = true;
  private heardAtMs = 0;
  /** A block was found of which a silent stream should have told. */
  private isSuspect = false;
  private state: FsmState | undefined;
  private wake: () => void = () => {};
  private working: Promise<void> | undefined;

  constructor(deps: FeedDependencies) {
    this.deps = deps;
    const { log, metrics } = deps;
    this.follower = new TipFollower(deps, (hash) => this.tellAll({ type: 'block', hash }));
    this.received = metrics.counter(
      'teranode_p2p_rpc_notifications_total',
      'Notifications of the blockchain service by what became of them',
      ['kind'],
    );
    const dropped = metrics.counter(
      'teranode_p2p_rpc_notifications_dropped_total',
      'Notifications dropped because too many waited',
    );
    this.queue = new BoundedQueue({
      maxItems: MAX_WAITING,
      onDrop: () => {
        this.isBehind = true;
        dropped.add();
      },
    });
    this.stream = new NotificationStream(deps, {
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
      (error) => log.debug({ err: error }, 'the blockchain service does not tell its state'),
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

  /** As the service told it last; undefined before it did. */
  get fsmState(): FsmState | undefined {
    return this.state;
  }

  /** `source` of the first one is what the service is told. */
  add(source: string, listener: Listener): void {
    this.listeners.set(listener, 'new');
    this.working ??= this.work();
    this.stream.start(source);
    this.push({ type: 'greet' });
  }

  /** It hears nothing from here on. */
  remove(listener: Listener): void {
    this.listeners.delete(listener);
  }

  /** Listeners hear nothing from here on. May be called twice. */
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
        this.deps.log.debug({ failures, err: error }, 'the best block could not be read');
        await pause(this.deps.channel.backoffMs(failures), signal);
        failures += 1;
      }
    }
  }

  /** One item, or a catch-up, or sleep. What came before the gap keeps its place; a block after it brings what was missed along. */
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
      this.tellState(item.state);
    } else {
      this.tellAll(item);
    }
  }

  private async catchUp(): Promise<void> {
    const known = this.follower.tip;
    this.tellState(await this.deps.chain.fsmState());
    const tip = await this.follower.catchUp();
    this.greet(tip);
    if (known !== undefined && tip !== known && this.isSilent) this.isSuspect = true;
  }

  /** The first one is no news, and no state is told twice in a row: it may have been asked for before its notification came. */
  private tellState(state: FsmState): void {
    const isNews = this.state !== undefined && this.state !== state;
    this.state = state;
    if (isNews) this.tellAll({ type: 'fsm_state', state });
  }

  private greet(tip: BlockHash): void {
    for (const [listener, stage] of this.listeners) {
      if (stage === 'greeted') continue;
      this.listeners.set(listener, 'greeted');
      this.tell(listener, { type: 'block', hash: tip });
    }
  }

  private async beat(): Promise<void> {
    if (!this.isUp) return;
    // Since the heartbeat before, so that a notification that was on its way has come.
    if (this.isSuspect) {
      this.deps.log.warn({}, 'subscription to the blockchain service tells nothing, begun anew');
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

  private tellAll(notification: BlockchainNotification): void {
    for (const [listener, stage] of this.listeners) if (stage === 'greeted') this.tell(listener, notification);
  }

  private tell(listener: Listener, notification: BlockchainNotification): void {
    try {
      listener(notification);
    } catch (error) {
      this.deps.log.error({ notification: notification.type, err: error }, 'blockchain subscriber failed');
    }
  }
}
