// How this node presents itself: at start, every 10 s, and after each block and mining-on of our own chain (spec "p2p_node_status_topic"). A
// service that fails or hangs costs one status, never the node (lessons, 4). What listen_only keeps back is the node's rule, not ours.
import type { ChainNews } from '../chain/news.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { BlockAssemblyDetails, NodeStatusMessage } from '../domain/node-status.ts';
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
import type { Publisher } from './publisher.ts';

export interface NodeStatusDependencies {
  readonly publisher: Publisher;
  readonly ownId: PeerId;
  readonly chain: Pick<ChainTracker, 'recentBestHeader' | 'recentFsmState' | 'subscribe'>;
  /** Without one, nothing is said of block assembly. */
  readonly blockAssembly: Pick<BlockAssemblyClient, 'state'> | undefined;
  readonly sync: SyncStatus;
  readonly notify: (notification: Notification) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface NodeStatusOptions {
  /** The DataHub URL that others are told. */
  readonly baseUrl: string;
  readonly version: string;
  readonly commitHash: string;
  readonly clientName: string;
  /** `full` or `listen_only`. */
  readonly listenMode: string;
}

/** As Go's. */
const INTERVAL_MS = 10_000;
/** Blocks that follow each other faster, as while a chain catches up, are told together. */
const LEAST_GAP_MS = 1000;
const ASK_DEADLINE_MS = 2000;
/** A header read for a block serves the status after it, which may have to wait for LEAST_GAP_MS. */
const HEADER_AGE_MS = 2000;
const PUBLISH_DEADLINE_MS = 5000;
/** 67 bytes each: well below the 256 KiB that peers read of a status. */
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
  private saidMs = Number.NEGATIVE_INFINITY;
  private isFailing = false;
  private loop: Repeating | undefined;
  private soon: NodeJS.Timeout | undefined;
  private unsubscribe: (() => void) | undefined;

  constructor(deps: NodeStatusDependencies, options: NodeStatusOptions) {
    this.deps = deps;
    this.options = options;
    const { blockAssembly, clock, metrics } = deps;
    this.announced = metrics.counter('teranode_p2p_announcements_total', 'Announcements of this node', [
      'kind',
      'outcome',
    ]);
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

  /** May be called twice; nothing is said after it. */
  async stop(): Promise<void> {
    this.unsubscribe?.();
    clearTimeout(this.soon);
    this.loop?.stop();
  }

  /** As it is now; where a service does not answer, as last known. Within two seconds. Throws while nothing has ever been known. */
  async current(): Promise<NodeStatusMessage> {
    try {
      return await this.build();
    } catch (error) {
      if (this.last === undefined) throw error;
      return { ...this.last, uptime: this.uptime() };
    }
  }

  /** As `current`, in the form in which watchers are told. */
  async currentNotification(): Promise<Extract<Notification, { type: 'node_status' }>> {
    return this.notification(await this.current());
  }

  /** Whether `start` was called. */
  get isStarted(): boolean {
    return this.loop !== undefined;
  }

  /** As built last, for whatever purpose; undefined before the first. */
  lastStatus(): NodeStatusMessage | undefined {
    return this.last;
  }

  private receive({ type }: ChainNews): void {
    if (type !== 'block' && type !== 'mining_on') return;
    const waitMs = this.saidMs + LEAST_GAP_MS - this.deps.clock.monotonic();
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
    this.saidMs = this.deps.clock.monotonic();
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
    // Said once, not every ten seconds while a service is away.
    this.deps.log[this.isFailing ? 'debug' : 'warn']({ err: error }, 'node status not announced');
    this.isFailing = true;
  }

  private async build(): Promise<NodeStatusMessage> {
    const { chain } = this.deps;
    const [best, fsmState, details] = await Promise.all([
      withDeadline(chain.recentBestHeader(HEADER_AGE_MS), ASK_DEADLINE_MS),
      withDeadline(chain.recentFsmState(), ASK_DEADLINE_MS),
      this.assemblyDetails(),
    ]);
    const { baseUrl, version, commitHash, clientName, listenMode } = this.options;
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
    };
    return this.last;
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

  /** Seconds, to the microsecond. */
  private uptime(): number {
    return Math.round((this.deps.clock.monotonic() - this.startedMs) * 1000) / 1_000_000;
  }

  private notification(status: NodeStatusMessage): Extract<Notification, { type: 'node_status' }> {
    return { type: 'node_status', atMs: this.deps.clock.now(), isOwn: true, ...status, peerId: this.deps.ownId };
  }
}
