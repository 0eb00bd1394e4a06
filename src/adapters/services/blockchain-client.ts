// Client of the node's blockchain service over gRPC. Calls settle within seconds, whatever the service does; the
// subscription survives restarts of the service for as long as there are listeners.
import type { DescMethod } from '@bufbuild/protobuf';
import type { BlockHash } from '../../domain/ids.ts';
import { BlockchainAPI } from '../../gen/blockchain_api_pb.js';
import { pause } from '../../lib/pause.ts';
import type {
  BlockchainClient,
  BlockchainNotification,
  BlockHeaderRecord,
  FsmState,
} from '../../ports/blockchain-client.ts';
import { gaugeWithBound } from '../../ports/metrics.ts';
import type { ProbeResult } from '../../ports/producer.ts';
import { hashToBytes } from '../../wire/hash.ts';
import { bestHeaderRecord, fsmStateOf, headerRecord } from './blockchain-answers.ts';
import { type Listener, MAX_WAITING, NotificationFeed } from './notification-feed.ts';
import { grpcCodeOf, rpcFailure } from './rpc-failure.ts';
import { SERVICE_TIMES, ServiceChannel, type ServiceDependencies, type ServiceOptions } from './service-channel.ts';

const SERVICE = 'blockchain';
const API = BlockchainAPI.method;

const MAX_SUBSCRIBERS = 100;
const MAX_KEY_CHARS = 256;
const MAX_STATE_BYTES = 1024 * 1024;
const MAX_SOURCE_CHARS = 256;
/** Length of one wait for the FSM; then the state is requested, because a restarted service has forgotten the wait. */
const WAIT_MS = 5000;

/** Go's service answers these for an unknown hash or key, and for any internal error. */
const ABSENT_OR_BROKEN: readonly string[] = ['INTERNAL', 'UNKNOWN'];

export class GrpcBlockchainClient implements BlockchainClient {
  private readonly deps: ServiceDependencies;
  private readonly channel: ServiceChannel;
  private readonly attemptMs: number;
  private feed: NotificationFeed | undefined;

  constructor(deps: ServiceDependencies, options: ServiceOptions) {
    this.deps = deps;
    this.channel = new ServiceChannel(SERVICE, deps, options);
    this.attemptMs = options.times?.attemptMs ?? SERVICE_TIMES.attemptMs;
    const { metrics } = deps;
    const labels = { service: SERVICE };
    metrics.gauge(
      'teranode_p2p_rpc_subscription_up',
      '1 while the subscription is open, else 0',
      () => (this.feed?.isUp === true ? 1 : 0),
      labels,
    );
    gaugeWithBound(
      metrics,
      {
        name: 'teranode_p2p_rpc_notifications_waiting',
        boundName: 'teranode_p2p_rpc_notifications_bound',
        help: 'Notifications of the service that wait to be handled',
        labels,
      },
      () => this.feed?.waiting ?? 0,
      MAX_WAITING,
    );
  }

  /** Does not wait for the service; calls do. Throws ADDRESS_INVALID, SETTINGS_INVALID (certificate files, API key). */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.channel.open();
  }

  async stop(): Promise<void> {
    const { feed } = this;
    this.feed = undefined;
    this.channel.close();
    await feed?.stop();
  }

  bestBlockHeader(): Promise<BlockHeaderRecord> {
    return this.channel.call(API.getBestBlockHeader, {}, bestHeaderRecord);
  }

  blockHeader(hash: BlockHash): Promise<BlockHeaderRecord | undefined> {
    return this.lookedUp(() =>
      this.channel.call(API.getBlockHeader, { blockHash: hashToBytes(hash) }, (answer) => {
        const record = headerRecord(answer);
        if (record.hash !== hash) throw new RangeError(`header of block ${record.hash} (expected ${hash})`);
        return record;
      }),
    );
  }

  /** Throws RangeError unless the key has 1 to 256 characters. */
  async getState(key: string): Promise<Uint8Array | undefined> {
    checkKey(key);
    return await this.lookedUp(() => this.channel.call(API.getState, { key }, ({ data }) => new Uint8Array(data)));
  }

  /** Throws RangeError as `getState` does, and for more than 1 MiB. */
  async setState(key: string, data: Uint8Array): Promise<void> {
    checkKey(key);
    if (data.byteLength > MAX_STATE_BYTES) throw new RangeError('a state value has at most 1 MiB');
    await this.channel.call(API.setState, { key, data: new Uint8Array(data) });
  }

  fsmState(): Promise<FsmState> {
    return this.channel.call(API.getFSMCurrentState, {}, ({ state }) => fsmStateOf(state));
  }

  /** As last received, without a call; undefined without subscribers or before the first notification. */
  lastFsmState(): FsmState | undefined {
    return this.feed?.fsmState;
  }

  /**
   * Also waits for a service that is down or restarts. Rejects with the signal's reason, or RPC_FAILED while the client
   * is not started.
   */
  async waitUntilFsmLeavesIdle(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.checkOpen(API.waitUntilFSMTransitionFromIdleState);
    const either = AbortSignal.any([signal, this.channel.signal]);
    for (let failures = 0; !either.aborted; ) {
      const outcome = await this.waitOnce(either);
      if (outcome === 'left_idle') break;
      if (outcome === 'no_answer' && failures === 0) this.deps.log.warn({}, 'waiting for the blockchain service');
      failures = outcome === 'no_answer' ? failures + 1 : 0;
      await pause(this.channel.backoffMs(failures), either);
    }
    signal.throwIfAborted();
    this.checkOpen(API.waitUntilFSMTransitionFromIdleState);
  }

  private async waitOnce(signal: AbortSignal): Promise<'left_idle' | 'idle' | 'no_answer'> {
    try {
      await this.channel.attempt(API.waitUntilFSMTransitionFromIdleState, {}, { signal, deadlineMs: WAIT_MS });
      return 'left_idle';
    } catch {
      // Neither a timeout nor a service without this call says anything about the state.
    }
    try {
      const options = { signal, deadlineMs: this.attemptMs };
      const state = await this.channel.attempt(API.getFSMCurrentState, {}, options, (answer) =>
        fsmStateOf(answer.state),
      );
      return state === 'IDLE' ? 'idle' : 'left_idle';
    } catch {
      return 'no_answer';
    }
  }

  /**
   * At most 100 listeners at a time, all on one stream; RangeError beyond that. Throws RPC_FAILED while not started.
   */
  subscribe(source: string, listener: (notification: BlockchainNotification) => void): () => void {
    this.checkOpen(API.subscribe);
    const feed = this.feed ?? new NotificationFeed({ ...this.deps, channel: this.channel, chain: this });
    if (feed.listenerCount >= MAX_SUBSCRIBERS) throw new RangeError(`at most ${MAX_SUBSCRIBERS} subscribers`);
    this.feed = feed;
    const own: Listener = (notification) => listener(notification);
    feed.add(source.slice(0, MAX_SOURCE_CHARS), own);
    return () => {
      feed.remove(own);
      if (feed.listenerCount > 0 || this.feed !== feed) return;
      this.feed = undefined;
      void feed.stop();
    };
  }

  probe(deadlineMs: number): Promise<ProbeResult> {
    return this.channel.probe(API.healthGRPC, deadlineMs);
  }

  private checkOpen(method: DescMethod): void {
    if (!this.channel.isOpen)
      throw rpcFailure(SERVICE, method, 'CANCELLED', 'the client is not started, or is stopped');
  }

  /**
   * undefined for a hash or key that the service does not have. NOT_FOUND says so. Go's service answers INTERNAL or
   * UNKNOWN for that and for a broken store: this counts as absence only when the service then reports that it is
   * healthy, and answers the same again.
   */
  private async lookedUp<T>(lookUp: () => Promise<T>): Promise<T | undefined> {
    try {
      return await lookUp();
    } catch (first) {
      const code = grpcCodeOf(first) ?? '';
      if (code === 'NOT_FOUND') return undefined;
      if (!ABSENT_OR_BROKEN.includes(code)) throw first;
      const { ok } = await this.channel.call(API.healthGRPC, {});
      if (!ok) throw first;
      return await lookUp().catch((second: unknown) => {
        const again = grpcCodeOf(second);
        if (again === code || again === 'NOT_FOUND') return undefined;
        throw second;
      });
    }
  }
}

function checkKey(key: string): void {
  if (key.length === 0 || key.length > MAX_KEY_CHARS)
    throw new RangeError(`a state key has 1 to ${MAX_KEY_CHARS} characters`);
}
