// Our own chain as the whole server sees it: the only subscriber of the blockchain service, and the only keeper of the
// FSM state, the tip and recent headers. A block's header is read once, however many parts want it.
import type { ChainEvent } from '../domain/chain-event.ts';
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
import { type LinkedPoint, linkedPoint } from './fork.ts';
import { Latest } from './latest.ts';
import { type ChainNews, isCatchUp, NewsDesk } from './news.ts';
import { RecentHeaders } from './recent-headers.ts';
import { TipWatch } from './tip-watch.ts';

export interface ChainTrackerDependencies {
  readonly blockchain: Pick<BlockchainClient, 'bestBlockHeader' | 'blockHeader' | 'fsmState' | 'subscribe'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Called with each header that joins the recent ones. */
  readonly onHeader?: ((hash: BlockHash, height: number) => void) | undefined;
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

/** The name under which we subscribe. */
const SOURCE = 'p2p';
const FSM_STATES: readonly FsmState[] = ['IDLE', 'RUNNING', 'CATCHINGBLOCKS', 'LEGACYSYNCING'];
/** How often to ask for the FSM state, in case a notification was lost. */
const FSM_INTERVAL_MS = 5000;
/** How often to read the best header without a block notification, in case one was lost. */
const REFRESH_INTERVAL_MS = 5 * 60_000;
/** Back-off after a refresh that failed. */
const RETRY = { firstMs: 1000, lastMs: 60_000 };
/** A best header that another part read within this time is recent enough for a refresh. */
const RECENT_MS = 1000;
/** A tip this old is good enough for a handshake. */
const HANDSHAKE_AGE_MS = 250;
/** The blockchain client retries for longer; the handshake then has the last known tip. */
const HANDSHAKE_DEADLINE_MS = 2000;

export class ChainTracker {
  private readonly deps: ChainTrackerDependencies;
  private readonly state: Latest<FsmState>;
  private readonly best: Latest<BlockHeaderRecord>;
  private readonly headers: RecentHeaders;
  private readonly tips: TipWatch;
  private readonly desk: NewsDesk;
  private readonly listeners = new Set<NewsListener>();
  private readonly ended = new AbortController();
  private ownTip: OwnTip | undefined;
  /** Hash of the last block notification. */
  private lastBlock: BlockHash | undefined;
  /** During a catch-up blocks were notified that the next refresh has to read. */
  private isCatchUpUnread = false;
  private failures = 0;
  private refreshing: Repeating | undefined;
  private askingState: Repeating | undefined;
  private unsubscribe: (() => void) | undefined;

  constructor(deps: ChainTrackerDependencies) {
    this.deps = deps;
    const { blockchain, clock, metrics } = deps;
    this.headers = new RecentHeaders((hash) => blockchain.blockHeader(hash), deps.onHeader);
    this.tips = new TipWatch({
      ...deps,
      lookUp: (hash) => this.pointOf(hash),
      isCatchUp: () => isCatchUp(this.desk.state),
    });
    this.best = new Latest(clock, {
      ask: () => blockchain.bestBlockHeader(),
      onValue: (record) => this.bestRead(record),
    });
    this.state = new Latest(clock, {
      ask: () => blockchain.fsmState(),
      // After a change of state callers need the tip under the new state.
      onValue: (state, previous) => (state === previous ? undefined : this.best.outdate()),
    });
    this.desk = new NewsDesk({
      fsmState: () => this.recentFsmState(),
      header: (hash) => this.headerOf(hash),
      bestHeader: (hash) => this.bestHeaderAt(hash),
    });
    const help = 'Whether this is the last known FSM state (1) or not (0)';
    for (const state of FSM_STATES)
      metrics.gauge('teranode_p2p_fsm_state', help, () => Number(this.state.known === state), { state });
  }

  /**
   * Subscribes, and reads the FSM state and the best header; headers below it follow in the background. Throws what the
   * service throws, and leaves nothing running then.
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

  /** May be called twice, also during start; a read under way has no effect any more. */
  async stop(): Promise<void> {
    this.ended.abort();
    this.tips.stop();
    this.refreshing?.stop();
    this.askingState?.stop();
    this.unsubscribe?.();
  }

  /** The last known FSM state; undefined before the first. */
  fsmState(): FsmState | undefined {
    return this.state.known;
  }

  /** Whether the last known FSM state is CATCHINGBLOCKS or LEGACYSYNCING. */
  isSyncing(): boolean {
    return isCatchUp(this.state.known);
  }

  /** The last known best header; undefined before the first. */
  bestHeader(): BlockHeaderRecord | undefined {
    return this.best.known;
  }

  /** The last known tip with its target; undefined before the first header with a valid target. */
  tip(): OwnTip | undefined {
    return this.ownTip;
  }

  /** Height of a header of our recent chain; undefined for any other header. */
  heightOf(hash: BlockHash): number | undefined {
    return this.headers.heightOf(hash);
  }

  /** The FSM state, at most `maxAgeMs` old. Throws what the service throws. */
  async recentFsmState(maxAgeMs = 0): Promise<FsmState> {
    return await this.state.recent(maxAgeMs);
  }

  /**
   * The best header: at most `maxAgeMs` old, and read after the last change of the FSM state and the last block
   * notification, except for blocks of a catch-up. Throws what the service throws.
   */
  async recentBestHeader(maxAgeMs = 0): Promise<BlockHeaderRecord> {
    return await this.best.recent(maxAgeMs);
  }

  /**
   * The tip for a handshake: at most 250 ms old, or the last known one when the service does not answer within 2 s;
   * undefined when none was ever known. Never rejects.
   */
  async latestTip(): Promise<BlockHeaderRecord | undefined> {
    try {
      return await withDeadline(this.best.recent(HANDSHAKE_AGE_MS), HANDSHAKE_DEADLINE_MS);
    } catch (error) {
      this.deps.log.debug({ err: error }, 'failed to read our tip for a handshake');
      return this.best.known;
    }
  }

  /** The listener gets all news, in order, until the returned function is called. */
  subscribe(listener: NewsListener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /**
   * The listener gets each new tip, and each reorganisation before its tip, until the returned function is called. Tips
   * that follow each other faster than they are read are told as one; those of a catch-up at its end.
   */
  onTip(listener: (event: ChainEvent) => void): () => void {
    return this.tips.subscribe(listener);
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
    if (this.best.known !== undefined) this.tips.bestRead(this.best.known);
    this.failures = 0;
  }

  private async pointOf(hash: BlockHash): Promise<LinkedPoint | undefined> {
    const known = this.headers.get(hash);
    if (known !== undefined) return known;
    const record = await this.deps.blockchain.blockHeader(hash);
    return record && linkedPoint(record);
  }

  private bestRead(record: BlockHeaderRecord): void {
    // A tip is told when the headers below it are read, so that its fork is looked up in memory.
    if (this.headers.addBest(record)) this.refreshing?.wake();
    else this.tips.bestRead(record);
    if (record.hash === this.ownTip?.hash) return;
    const header = parseHeader(record.header);
    const target = header === undefined ? undefined : targetFromCompact(header.bits);
    if (header === undefined || target === undefined) return;
    this.ownTip = { hash: record.hash, height: record.height, target, time: header.time };
  }

  private receive(notification: BlockchainNotification): void {
    if (this.ended.signal.aborted) return;
    const news = this.desk.newsOf(notification);
    if (news.type === 'fsm_state') {
      this.state.notified(news.state);
      this.refreshing?.wake();
    }
    if (news.type === 'block') {
      this.lastBlock = news.hash;
      this.tipMoved();
      this.refreshing?.wake();
    }
    if (news.type === 'mining_on' && news.hash !== this.lastBlock) this.tipMoved();
    for (const listener of this.listeners) this.tell(listener, news);
  }

  /** Blocks of a catch-up come too fast to read each: then one refresh after the other reads whatever is best. */
  private tipMoved(): void {
    if (isCatchUp(this.desk.state)) this.isCatchUpUnread = true;
    else this.best.outdate();
  }

  /** Usually the block is the best one. If not, it came in a row of blocks, is on another branch, or is invalid. */
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
