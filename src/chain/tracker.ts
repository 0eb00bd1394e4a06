// Our own chain as the whole server sees it: the only subscriber of the blockchain service, and the only keeper of the FSM state, the tip and recent
// headers. A block is read once, however many parts want its header.
import type { BlockHash } from '../domain/ids.ts';
import { backoffMs } from '../lib/backoff.ts';
import { withDeadline } from '../lib/deadline.ts';
import { type Repeating, repeating } from '../lib/repeating.ts';
import type {
  BlockchainClient,
  BlockchainNotification,
  BlockHeaderRecord,
  FsmState,
} from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import { parseHeader, targetFromCompact } from '../wire/header.ts';
import { Latest } from './latest.ts';
import { type ChainNews, isCatchUp, NewsDesk } from './news.ts';
import { RecentHeaders } from './recent-headers.ts';

export interface ChainTrackerDependencies {
  readonly blockchain: Pick<BlockchainClient, 'bestBlockHeader' | 'blockHeader' | 'fsmState' | 'subscribe'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface OwnTip {
  readonly hash: BlockHash;
  readonly height: number;
  /** Target of its header. */
  readonly target: bigint;
  /** Unix seconds, as its header says. */
  readonly time: number;
}

type NewsListener = (news: ChainNews) => void;

/** What the service is told as the source of the subscription. */
const SOURCE = 'p2p';
const FSM_STATES: readonly FsmState[] = ['IDLE', 'RUNNING', 'CATCHINGBLOCKS', 'LEGACYSYNCING'];
/** The FSM state is asked for this often, should a notification have been lost. */
const FSM_INTERVAL_MS = 5000;
/** The best header is read this often without a block, should a notification have been lost. */
const REFRESH_INTERVAL_MS = 5 * 60_000;
/** After a refresh that failed. */
const RETRY = { firstMs: 1000, lastMs: 60_000 };
/** A best header read by somebody else within this time serves as a refresh. */
const RECENT_MS = 1000;
/** A block more or less within this time makes no difference to a peer that reads our handshake. */
const HANDSHAKE_AGE_MS = 250;
/** The blockchain client retries for longer; a peer gets what was known last instead. */
const HANDSHAKE_DEADLINE_MS = 2000;

export class ChainTracker {
  private readonly deps: ChainTrackerDependencies;
  private readonly state: Latest<FsmState>;
  private readonly best: Latest<BlockHeaderRecord>;
  private readonly headers: RecentHeaders;
  private readonly desk: NewsDesk;
  private readonly listeners = new Set<NewsListener>();
  private readonly ended = new AbortController();
  private ownTip: OwnTip | undefined;
  /** Of the last notification of a block. */
  private lastBlock: BlockHash | undefined;
  /** Blocks came during a catch-up that the next refresh is to read. */
  private isCatchUpUnread = false;
  private failures = 0;
  private refreshing: Repeating | undefined;
  private askingState: Repeating | undefined;
  private unsubscribe: (() => void) | undefined;

  constructor(deps: ChainTrackerDependencies) {
    this.deps = deps;
    const { blockchain, clock, metrics } = deps;
    this.headers = new RecentHeaders((hash) => blockchain.blockHeader(hash));
    this.best = new Latest(clock, {
      ask: () => blockchain.bestBlockHeader(),
      onValue: (record) => this.bestRead(record),
    });
    this.state = new Latest(clock, {
      ask: () => blockchain.fsmState(),
      // Whoever asks how high our chain is after a change of state means: under the new state.
      onValue: (state, previous) => (state === previous ? undefined : this.best.outdate()),
    });
    this.desk = new NewsDesk({
      fsmState: () => this.recentFsmState(),
      header: (hash) => this.headerOf(hash),
      bestHeader: (hash) => this.bestHeaderAt(hash),
    });
    for (const state of FSM_STATES)
      metrics.gauge(
        'teranode_p2p_fsm_state',
        'Whether this is the last known FSM state (1) or not (0)',
        () => Number(this.state.known === state),
        {
          state,
        },
      );
  }

  /**
   * Subscribes and reads the FSM state and the best header; headers below it follow in the background. Throws what the service throws; nothing is left
   * running then.
   */
  async start(signal: AbortSignal): Promise<void> {
    if (this.ended.signal.aborted) return;
    this.unsubscribe = this.deps.blockchain.subscribe(SOURCE, (notification) => this.receive(notification));
    try {
      await Promise.all([this.recentFsmState(), this.recentBestHeader()]);
      signal.throwIfAborted();
    } catch (error) {
      this.unsubscribe();
      throw error;
    }
    if (this.ended.signal.aborted) return;
    this.startLoops();
  }

  /** May be called twice, also during a start; a read under way has no effect any more. */
  async stop(): Promise<void> {
    this.ended.abort();
    this.refreshing?.stop();
    this.askingState?.stop();
    this.unsubscribe?.();
  }

  /** The FSM state as last known; undefined before the first time. */
  fsmState(): FsmState | undefined {
    return this.state.known;
  }

  /** CATCHINGBLOCKS or LEGACYSYNCING, as last known. */
  isSyncing(): boolean {
    return isCatchUp(this.state.known);
  }

  /** The best header as last known; undefined before the first time. */
  bestHeader(): BlockHeaderRecord | undefined {
    return this.best.known;
  }

  /** What validators need of it. undefined while the service's header makes no sense. */
  tip(): OwnTip | undefined {
    return this.ownTip;
  }

  /** Height of a header of our recent chain; undefined for any other. */
  heightOf(hash: BlockHash): number | undefined {
    return this.headers.heightOf(hash);
  }

  /** The FSM state, not older than `maxAgeMs`. Throws what the service throws. */
  async recentFsmState(maxAgeMs = 0): Promise<FsmState> {
    return await this.state.recent(maxAgeMs);
  }

  /** The best header, not older than `maxAgeMs` and than the last change of the FSM state or block notification. Throws what the service throws. */
  async recentBestHeader(maxAgeMs = 0): Promise<BlockHeaderRecord> {
    return await this.best.recent(maxAgeMs);
  }

  /** The tip for a handshake: at most 250 ms old, else as last known; undefined when none was ever known. Settles within 2 s, never rejects. */
  async latestTip(): Promise<BlockHeaderRecord | undefined> {
    try {
      return await withDeadline(this.best.recent(HANDSHAKE_AGE_MS), HANDSHAKE_DEADLINE_MS);
    } catch (error) {
      this.deps.log.debug({ err: error }, 'failed to read our tip for a handshake');
      return this.best.known;
    }
  }

  /** The listener gets news in the order of the service's notifications, until the returned function is called. */
  subscribe(listener: NewsListener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private startLoops(): void {
    const { log } = this.deps;
    this.askingState = repeating(
      async () => void (await this.recentFsmState()),
      { firstMs: FSM_INTERVAL_MS, nextMs: () => FSM_INTERVAL_MS },
      (error) => log.debug({ err: error }, 'failed to read the FSM state'),
    );
    this.refreshing = repeating(
      (signal) => this.refresh(signal),
      { firstMs: 0, nextMs: () => (this.failures === 0 ? REFRESH_INTERVAL_MS : backoffMs(RETRY, this.failures)) },
      (error) => {
        this.failures += 1;
        const { failures, headers } = this;
        log.debug({ err: error, failures, gaps: headers.gapCount }, 'failed to refresh recent headers');
      },
    );
  }

  private async refresh(signal: AbortSignal): Promise<void> {
    if (this.isCatchUpUnread) this.best.outdate();
    this.isCatchUpUnread = false;
    await this.best.recent(RECENT_MS);
    await this.headers.fill(signal);
    this.failures = 0;
  }

  private bestRead(record: BlockHeaderRecord): void {
    if (this.headers.addBest(record)) this.refreshing?.wake();
    if (record.hash === this.ownTip?.hash) return;
    const header = parseHeader(record.header);
    const target = header === undefined ? undefined : targetFromCompact(header.bits);
    if (header === undefined || target === undefined) return;
    this.ownTip = { hash: record.hash, height: record.height, target, time: header.time };
  }

  private receive(notification: BlockchainNotification): void {
    if (this.ended.signal.aborted) return;
    const news = this.desk.newsOf(notification);
    if (news.type === 'fsm_state') this.state.notified(news.state);
    if (news.type === 'block') {
      this.lastBlock = news.hash;
      this.tipMoved();
      this.refreshing?.wake();
    }
    if (news.type === 'mining_on' && news.hash !== this.lastBlock) this.tipMoved();
    for (const listener of this.listeners) this.tell(listener, news);
  }

  /** Blocks of a catch-up come faster than each is worth reading: then one refresh after the other reads whatever is best. */
  private tipMoved(): void {
    if (isCatchUp(this.desk.state)) this.isCatchUpUnread = true;
    else this.best.outdate();
  }

  /** The best header where it is the block's; other blocks came in a row, on another branch, or are invalid. */
  private async headerOf(hash: BlockHash): Promise<BlockHeaderRecord | undefined> {
    const best = await this.best.recent(Number.POSITIVE_INFINITY);
    if (best.hash === hash) return best;
    const record = await this.deps.blockchain.blockHeader(hash);
    if (record !== undefined) this.headers.addChild(record);
    return record;
  }

  private async bestHeaderAt(hash: BlockHash): Promise<BlockHeaderRecord> {
    const best = await this.best.recent(Number.POSITIVE_INFINITY);
    return best.hash === hash ? best : await this.best.recent(RECENT_MS);
  }

  private tell(listener: NewsListener, news: ChainNews): void {
    try {
      listener(news);
    } catch (error) {
      this.deps.log.error({ news: news.type, err: error }, 'chain listener failed');
    }
  }
}
