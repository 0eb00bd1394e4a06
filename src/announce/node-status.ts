// Announces the status of this node at start, every 10 s, and after each block and mining-on of our own chain (spec
// "p2p_node_status_topic"). A service that fails or hangs costs one status, never the node. Whether listen_only
// suppresses it is the node's decision.
import type { ChainNews } from '../chain/news.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { BlockAssemblyDetails, FeePolicy, NodeStatusMessage, Storage } from '../domain/node-status.ts';
import type { Notification } from '../domain/notification.ts';
import { withDeadline } from '../lib/deadline.ts';
import { type Repeating, repeating } from '../lib/repeating.ts';
import { singleFlight } from '../lib/single-flight.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import type { BlockAssemblyClient } from '../ports/validation-services.ts';
import { UNKNOWN_BLOCK_ASSEMBLY } from '../wire/block-assembly-details.ts';
import { announcementsCounter } from './announcements.ts';
import type { Publisher } from './publisher.ts';

export interface NodeStatusDependencies {
  readonly publisher: Publisher;
  readonly ownId: PeerId;
  readonly chain: Pick<ChainTracker, 'recentBestHeader' | 'recentFsmState' | 'subscribe'>;
  /** Without it, the status has no details of block assembly. */
  readonly blockAssembly: Pick<BlockAssemblyClient, 'state'> | undefined;
  readonly sync: SyncStatus;
  readonly notify: (notification: Notification) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface NodeStatusOptions {
  /** The DataHub URL that peers get. */
  readonly baseUrl: string;
  readonly version: string;
  readonly commitHash: string;
  readonly clientName: string;
  /** `full`, `listen_only` or `silent`. */
  readonly listenMode: string;
  /** What only message-bus has; absent where that is not spoken. */
  readonly onBus?: BusStatusOptions;
}

export interface BusStatusOptions {
  /** Empty: none. */
  readonly propagationUrl: string;
  /** BSV per kilobyte. */
  readonly minMiningTxFee: number;
  readonly feePolicy: FeePolicy | undefined;
  /** Number of connected peers. */
  readonly connectedPeers: () => number;
  /** Whether this node keeps all blocks, at the height of its best block; undefined while unknown. Never rejects. */
  readonly storageAt: (bestHeight: number) => Promise<Storage | undefined>;
}

/** As in Go. */
const INTERVAL_MS = 10_000;
/** Several blocks within this time, as during a catch-up, cause one status. */
const MIN_INTERVAL_MS = 1000;
const ASK_DEADLINE_MS = 2000;
/** A header that was read for a block is recent enough for its status, which may wait for MIN_INTERVAL_MS. */
const HEADER_AGE_MS = 2000;
const PUBLISH_DEADLINE_MS = 5000;
/** 67 bytes each: well below the 256 KiB that peers accept for a status. */
const MAX_SUBTREES = 3000;
const CHAIN_WORK_DIGITS = 64;

export class NodeStatusAnnouncer {
  private readonly deps: NodeStatusDependencies;
  private readonly options: NodeStatusOptions;
  private readonly announced: Counter;
  private startedMs: number;
  private startTime: bigint;
  private readonly readAssembly: () => Promise<BlockAssemblyDetails>;
  private last: NodeStatusMessage | undefined;
  private announcedMs = Number.NEGATIVE_INFINITY;
  private isFailing = false;
  private loop: Repeating | undefined;
  private soon: NodeJS.Timeout | undefined;
  private unsubscribe: (() => void) | undefined;

  constructor(deps: NodeStatusDependencies, options: NodeStatusOptions) {
    this.deps = deps;
    this.options = options;
    const { blockAssembly, clock, metrics } = deps;
    this.announced = announcementsCounter(metrics);
    this.startedMs = clock.monotonic();
    this.startTime = BigInt(Math.floor(clock.now() / 1000));
    this.readAssembly = singleFlight(async () => (await blockAssembly?.state()) ?? UNKNOWN_BLOCK_ASSEMBLY);
  }

  /** Publishes in the background from now on. The node must have been started. */
  start(): void {
    if (this.loop !== undefined) return;
    this.startedMs = this.deps.clock.monotonic();
    this.startTime = BigInt(Math.floor(this.deps.clock.now() / 1000));
    const times = { firstMs: 0, nextMs: () => INTERVAL_MS };
    this.loop = repeating(
      (signal) => this.announce(signal),
      times,
      (error) => this.failed(error),
    );
    this.unsubscribe = this.deps.chain.subscribe((news) => this.receive(news));
  }

  /** May be called twice; nothing is published after it. */
  async stop(): Promise<void> {
    this.unsubscribe?.();
    clearTimeout(this.soon);
    this.loop?.stop();
  }

  /**
   * The present status, or the last known one when a service does not answer within two seconds. Throws while none was
   * ever known.
   */
  async current(): Promise<NodeStatusMessage> {
    try {
      return await this.build();
    } catch (error) {
      if (this.last === undefined) throw error;
      return { ...this.last, uptime: this.uptime() };
    }
  }

  /** As `current`, in the form that notification subscribers get. */
  async currentNotification(): Promise<Extract<Notification, { type: 'node_status' }>> {
    return this.notification(await this.current());
  }

  /** Whether `start` was called. */
  get isStarted(): boolean {
    return this.loop !== undefined;
  }

  /** The status built last, for whatever purpose; undefined before the first. */
  lastStatus(): NodeStatusMessage | undefined {
    return this.last;
  }

  private receive({ type }: ChainNews): void {
    if (type !== 'block' && type !== 'mining_on') return;
    const waitMs = this.announcedMs + MIN_INTERVAL_MS - this.deps.clock.monotonic();
    if (waitMs <= 0) {
      this.loop?.wake();
      return;
    }
    this.soon ??= setTimeout(() => {
      this.soon = undefined;
      this.loop?.wake();
    }, waitMs).unref();
  }

  private async announce(signal: AbortSignal): Promise<void> {
    this.announcedMs = this.deps.clock.monotonic();
    const status = await this.build();
    if (signal.aborted) return;
    const publishing = this.deps.publisher.publish({ kind: 'node_status', message: status });
    const outcome = await withDeadline(publishing, PUBLISH_DEADLINE_MS);
    signal.throwIfAborted();
    this.isFailing = false;
    this.announced.add(1, { kind: 'node_status', outcome });
    if (outcome === 'published') this.deps.notify(this.notification(status));
  }

  private failed(error: unknown): void {
    this.announced.add(1, { kind: 'node_status', outcome: 'failed' });
    // One warning, not one every ten seconds while a service is down.
    this.deps.log[this.isFailing ? 'debug' : 'warn']({ err: error }, 'failed to announce node status');
    this.isFailing = true;
  }

  private async build(): Promise<NodeStatusMessage> {
    const { chain } = this.deps;
    const [best, fsmState, details] = await Promise.all([
      withDeadline(chain.recentBestHeader(HEADER_AGE_MS), ASK_DEADLINE_MS),
      withDeadline(chain.recentFsmState(), ASK_DEADLINE_MS),
      this.assemblyDetails(),
    ]);
    const { baseUrl, version, commitHash, clientName, listenMode, onBus } = this.options;
    this.last = {
      baseUrl,
      peerId: this.deps.ownId,
      version,
      commitHash,
      bestBlockHash: best.hash,
      bestHeight: best.height,
      blockAssemblyDetails: { ...details, subtrees: details.subtrees.slice(0, MAX_SUBTREES) },
      fsmState,
      startTime: this.startTime,
      uptime: this.uptime(),
      clientName,
      minerName: best.miner,
      listenMode,
      chainWork: best.chainWork?.toString(16).padStart(CHAIN_WORK_DIGITS, '0') ?? '',
      ...this.syncPeer(),
      ...(onBus === undefined ? {} : await this.busFacts(onBus, best.height, details)),
    };
    return this.last;
  }

  private async busFacts(
    options: BusStatusOptions,
    bestHeight: number,
    { txCount, subtreeCount }: BlockAssemblyDetails,
  ): Promise<Partial<NodeStatusMessage>> {
    const { propagationUrl, minMiningTxFee, feePolicy } = options;
    const storage = await options.storageAt(bestHeight);
    return {
      ...(propagationUrl === '' ? {} : { propagationUrl }),
      ...{ txCount, subtreeCount, minMiningTxFee },
      ...(feePolicy === undefined ? {} : { feePolicy }),
      connectedPeersCount: options.connectedPeers(),
      ...(storage === undefined ? {} : { storage }),
    };
  }

  private async assemblyDetails(): Promise<BlockAssemblyDetails> {
    try {
      return await withDeadline(this.readAssembly(), ASK_DEADLINE_MS);
    } catch (error) {
      this.deps.log.debug({ err: error }, 'failed to read the state of block assembly');
      return UNKNOWN_BLOCK_ASSEMBLY;
    }
  }

  private syncPeer(): Pick<
    NodeStatusMessage,
    'syncPeerId' | 'syncPeerHeight' | 'syncPeerBlockHash' | 'syncConnectedAt'
  > {
    const peer = this.deps.sync.syncPeer();
    return {
      syncPeerId: peer?.peerId ?? '',
      syncPeerHeight: peer?.height ?? 0,
      syncPeerBlockHash: peer?.hash ?? '',
      syncConnectedAt: BigInt(Math.floor((peer?.sinceMs ?? 0) / 1000)),
    };
  }

  /** Seconds, rounded to the microsecond. */
  private uptime(): number {
    return Math.round((this.deps.clock.monotonic() - this.startedMs) * 1000) / 1_000_000;
  }

  private notification(status: NodeStatusMessage): Extract<Notification, { type: 'node_status' }> {
    return { type: 'node_status', atMs: this.deps.clock.now(), isOwn: true, ...status, peerId: this.deps.ownId };
  }
}
