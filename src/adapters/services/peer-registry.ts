// The peer registry of the blockchain service: whether the service has one, whether it answers now, a copy of its peers
// that is a few seconds old at most, and the calls that wait for it. What must not be lost is delivered in order for each
// peer, each step until it is answered: a call that was answered too late may be repeated (offences are checked before).
import type { DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { PeerId } from '../../domain/ids.ts';
import { PeerRegistryService, TransportType } from '../../gen/blockchain_api_pb.js';
import { BoundedQueue } from '../../lib/bounded-queue.ts';
import { settledWithin } from '../../lib/deadline.ts';
import { type Repeating, repeating } from '../../lib/repeating.ts';
import { type Counter, gaugeWithBound } from '../../ports/metrics.ts';
import type { HistoryKeeper } from '../../ports/peer-histories.ts';
import type { ProbeResult } from '../../ports/producer.ts';
import { MAX_COPIED, PeersCopy } from './peer-registry-copy.ts';
import { peerRow } from './peer-registry-rows.ts';
import { grpcCodeOf } from './rpc-failure.ts';
import { SERVICE_TIMES, ServiceChannel, type ServiceDependencies, type ServiceOptions } from './service-channel.ts';

/** One call, and one attempt of it. Throws RPC_FAILED. */
export type Send = <M extends DescMethod, T = MessageShape<M['output']>>(
  method: M,
  fields: MessageInitShape<M['input']>,
  read?: (answer: MessageShape<M['output']>) => T,
) => Promise<T>;

export type Step<T> = (send: Send) => Promise<T>;

/** `unknown` until the first answer; `absent`: the service answers that it has no peer registry. */
export type RegistryState = 'unknown' | 'answering' | 'silent' | 'absent';

export interface PeerRegistryTimes {
  /** Between two looks at what is due. */
  readonly pollMs: number;
  /** Between two reads of the peers. */
  readonly refreshMs: number;
  /**
   * Between two questions whether a service without a registry has one now. After a lost connection it is asked at
   * once: it may have been upgraded.
   */
  readonly askAgainMs: number;
}

interface Delivery {
  /** Deliveries with the same key keep their order. */
  readonly key: string;
  isDone: boolean;
  steps: readonly Step<unknown>[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Carried out instead when the service turns out to have no registry. */
  readonly otherwise: (() => unknown) | undefined;
}

export const PEER_REGISTRY_TIMES: PeerRegistryTimes = { pollMs: 1000, refreshMs: 5000, askAgainMs: 600_000 };
const API = PeerRegistryService.method;
/** Calls that wait while the service does not answer: an hour of offences and experiences on a busy network. */
export const MAX_WAITING = 10_000;
/** 10,000 peers of a kilobyte; their texts come from other nodes. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** The peers are read at most in a twentieth of the time, however long a read takes. */
const READ_SHARE = 20;
const DELIVERIES_AT_ONCE = 16;
const FLUSH_MS = 250;
const REFUSED_LOG_INTERVAL_MS = 60_000;
/** Says nothing about the call: the service is down, slow or overloaded, or this client was stopped. */
const TEMPORARY: readonly string[] = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'CANCELLED'];

export class ServicePeerRegistry {
  readonly copy: PeersCopy;
  private readonly deps: ServiceDependencies;
  private readonly times: PeerRegistryTimes;
  private readonly attemptMs: number;
  private readonly channel: ServiceChannel;
  private readonly waiting: BoundedQueue<Delivery>;
  private readonly lost: Counter;
  private current: RegistryState = 'unknown';
  private worker: Promise<void> | undefined;
  private loop: Repeating | undefined;
  private isStopped = false;
  /** Monotonic ms at which the next read of the peers is due. */
  private dueMs = 0;
  private turnsUp = 0;
  private isTooLarge = false;
  private hasAnswered = false;
  private refusedLoggedMs = Number.NEGATIVE_INFINITY;

  constructor(deps: ServiceDependencies, options: ServiceOptions, times: PeerRegistryTimes = PEER_REGISTRY_TIMES) {
    this.deps = deps;
    this.times = times;
    this.attemptMs = options.times?.attemptMs ?? SERVICE_TIMES.attemptMs;
    this.channel = new ServiceChannel('blockchain', deps, { ...options, maxAnswerBytes: MAX_ANSWER_BYTES });
    this.copy = new PeersCopy(deps);
    const { metrics } = deps;
    const help = 'Calls to the peer registry that were given up, by reason';
    this.lost = metrics.counter('teranode_p2p_peer_registry_lost_total', help, ['reason']);
    this.waiting = new BoundedQueue({ maxItems: MAX_WAITING, onDrop: (each) => this.lose(each, 'full') });
    const queue = { name: 'teranode_p2p_peer_registry_queue_length', help: 'Calls that wait for the peer registry' };
    gaugeWithBound(metrics, queue, () => this.waiting.length, MAX_WAITING);
    const copied = { name: 'teranode_p2p_peer_registry_peers', help: 'Peers copied from the peer registry' };
    gaugeWithBound(metrics, copied, () => this.copy.size, MAX_COPIED);
    const up = '1 while the blockchain service answers as peer registry';
    metrics.gauge('teranode_p2p_peer_registry_up', up, () => (this.isAnswering ? 1 : 0));
  }

  get state(): RegistryState {
    return this.current;
  }

  get isAnswering(): boolean {
    return this.current === 'answering' && !this.isStopped;
  }

  /** Counts how often it began to answer: each time it may have forgotten what was reported to it. */
  get beginnings(): number {
    return this.turnsUp;
  }

  keptBy(): HistoryKeeper {
    return this.current === 'absent' ? 'this node' : 'blockchain service';
  }

  /** For health reports; never a failure, because this node works without a registry. */
  health(): ProbeResult {
    if (this.current === 'absent')
      return { ok: true, details: 'this node: PeerRegistryService is not implemented there' };
    const waiting = this.isAnswering ? '' : `: no answer, ${this.waiting.length} calls queued`;
    return { ok: true, details: `blockchain service${waiting}` };
  }

  /**
   * Asks once, within the deadline of a call, and goes on in the background. Throws ADDRESS_INVALID, SETTINGS_INVALID.
   */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.channel.open();
    await this.read();
    if (this.isStopped) return;
    const nextMs = () => this.times.pollMs;
    const failed = (error: unknown) => this.deps.log.error({ err: error }, 'failed to read the peer registry');
    this.loop ??= repeating(async () => await this.poll(), { firstMs: nextMs(), nextMs }, failed);
  }

  /** Sends what waits, within a part of a second. May be called twice. */
  async stop(): Promise<void> {
    this.loop?.stop();
    if (this.isStopped) return;
    if (this.worker !== undefined) await settledWithin([this.worker], FLUSH_MS);
    this.isStopped = true;
    this.channel.close();
    if (this.waiting.length > 0)
      this.deps.log.warn({ calls: this.waiting.length }, 'peer registry did not answer at stop, calls lost');
    for (let each = this.waiting.shift(); each !== undefined; each = this.waiting.shift()) this.lose(each, 'stopped');
  }

  /**
   * Queues steps that are carried out one after the other, each until it is answered, and after those queued before with
   * the same key. Resolves with the answer to the last; with undefined when they were dropped, or the service has no
   * registry. Throws RPC_FAILED when it refuses one.
   */
  deliver<T>(key: string, steps: readonly Step<T>[], otherwise?: () => unknown): Promise<T | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const delivery = { key, isDone: false, steps, resolve, reject, otherwise };
    if (this.isStopped) this.lose(delivery, 'stopped');
    else this.waiting.push(delivery);
    if (this.current === 'absent') this.keepHere();
    else this.work();
    return promise as Promise<T | undefined>;
  }

  /** Asks now, once. Throws RPC_FAILED. */
  async ask<T>(step: Step<T>): Promise<T> {
    try {
      return await step(this.send);
    } catch (error) {
      if (isTemporary(error)) this.fellSilent(error);
      throw error;
    }
  }

  /** Reads one peer again. */
  async readPeer(peerId: PeerId): Promise<void> {
    const turn = this.copy.nextTurn();
    const row = await this.ask((send) => send(API.getPeer, { peerId }, ({ peer }) => peer && peerRow(peer)));
    if (row !== undefined) this.copy.put(row, turn);
  }

  /** Reads all peers; what comes of it is the state. Never throws. */
  async read(): Promise<void> {
    const { clock } = this.deps;
    const startedMs = clock.monotonic();
    this.hasAnswered = true;
    try {
      await this.readAll();
      this.answered();
    } catch (error) {
      this.failedToRead(error);
    }
    const tookMs = clock.monotonic() - startedMs;
    const { refreshMs, askAgainMs } = this.times;
    const pauseMs = { answering: Math.max(refreshMs, READ_SHARE * tookMs), absent: askAgainMs, silent: 0, unknown: 0 };
    this.dueMs = clock.monotonic() + (this.hasAnswered ? pauseMs[this.current] : 0);
  }

  private readonly send: Send = (method, fields, read) =>
    this.channel.attempt(method, fields, { deadlineMs: this.attemptMs }, read);

  private async poll(): Promise<void> {
    const isDue = this.deps.clock.monotonic() >= this.dueMs;
    if (isDue || (this.current === 'absent' && !this.channel.isConnected)) await this.read();
  }

  private async readAll(): Promise<void> {
    const turn = this.copy.nextTurn();
    const filter = { transportFilter: TransportType.HTTP, filterTransport: true };
    const rows = await this.send(API.listPeers, filter, ({ peers }) => peers.flatMap((peer) => peerRow(peer) ?? []));
    this.copy.replace(rows, turn);
    this.isTooLarge = false;
  }

  private failedToRead(error: unknown): void {
    if (this.isStopped) return;
    const code = grpcCodeOf(error);
    if (code === 'UNIMPLEMENTED') this.found('absent');
    else if (code === 'RESOURCE_EXHAUSTED') {
      // It answers, but with more than this client takes: calls about single peers work all the same.
      if (!this.isTooLarge) this.deps.log.warn({ err: error }, 'failed to read the list of the peer registry');
      this.isTooLarge = true;
      this.answered();
    } else this.fellSilent(error);
  }

  private answered(): void {
    if (this.isStopped) return;
    this.found('answering');
    this.work();
  }

  private fellSilent(error: unknown): void {
    this.hasAnswered = false;
    // What restarts may come back with a registry; until it answers, this node goes on alone.
    if (this.current === 'silent' || this.current === 'absent' || this.isStopped) return;
    this.deps.log.warn({ err: error }, 'peer registry unavailable; this node decides about bans, calls are queued');
    this.current = 'silent';
    this.dueMs = 0;
  }

  private found(state: 'answering' | 'absent'): void {
    if (this.current === state) return;
    this.current = state;
    const keeper = this.keptBy();
    this.deps.log.info({ keeper, waiting: this.waiting.length }, 'keeper of peers and scores changed');
    if (state === 'answering') this.turnsUp += 1;
    else this.keepHere();
  }

  /** What was meant for the registry is kept by this node. */
  private keepHere(): void {
    for (let each = this.waiting.shift(); each !== undefined; each = this.waiting.shift()) {
      each.otherwise?.();
      each.resolve(undefined);
    }
  }

  private work(): void {
    if (this.isAnswering) this.worker ??= this.drain();
  }

  private async drain(): Promise<void> {
    // Yields once, so that `worker` is assigned before a run that ends at once clears it.
    await Promise.resolve();
    while (this.isAnswering) {
      const batch = this.nextBatch();
      if (batch.length === 0) break;
      const byKey = Map.groupBy(batch, ({ key }) => key);
      await Promise.all(Array.from(byKey.values(), (deliveries) => this.carryOut(deliveries)));
      for (const each of batch.toReversed()) if (!each.isDone) this.putBack(each);
    }
    this.worker = undefined;
    if (this.current === 'absent') this.keepHere();
  }

  private nextBatch(): Delivery[] {
    const batch: Delivery[] = [];
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
      batch.push(next);
      if (batch.length === DELIVERIES_AT_ONCE) break;
    }
    return batch;
  }

  private putBack(delivery: Delivery): void {
    if (this.isStopped) this.lose(delivery, 'stopped');
    else this.waiting.unshift(delivery);
  }

  /** One after the other; ends early when the service falls silent. */
  private async carryOut(deliveries: readonly Delivery[]): Promise<void> {
    for (const delivery of deliveries) {
      if (!this.isAnswering) return;
      try {
        const answer = await this.carryOutSteps(delivery);
        delivery.isDone = true;
        delivery.resolve(answer);
      } catch (error) {
        if (isTemporary(error)) {
          this.fellSilent(error);
          return;
        }
        delivery.isDone = true;
        this.refused(error);
        delivery.reject(error);
      }
    }
  }

  private async carryOutSteps(delivery: Delivery): Promise<unknown> {
    let answer: unknown;
    for (let [step] = delivery.steps; step !== undefined; [step] = delivery.steps) {
      answer = await step(this.send);
      delivery.steps = delivery.steps.slice(1);
    }
    return answer;
  }

  private refused(error: unknown): void {
    this.lost.add(1, { reason: 'refused' });
    const nowMs = this.deps.clock.monotonic();
    if (nowMs - this.refusedLoggedMs < REFUSED_LOG_INTERVAL_MS) return;
    this.refusedLoggedMs = nowMs;
    this.deps.log.warn({ err: error }, 'peer registry refused a call');
  }

  private lose(delivery: Delivery, reason: 'full' | 'stopped'): void {
    this.lost.add(1, { reason });
    delivery.resolve(undefined);
  }
}

function isTemporary(error: unknown): boolean {
  return TEMPORARY.includes(grpcCodeOf(error) ?? '');
}
