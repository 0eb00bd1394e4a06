// Announces blocks, subtrees and mining-on of our own blockchain service on gossip, while the FSM is RUNNING. Blocks
// seen during catch-up are not announced, not even the last one: node status shows it. Blocks seen at IDLE, the state
// of a service that has just started, are queued until the next state is known. A block whose subtrees are not stored
// yet waits for them, because peers fetch them at once.
import type { AnnounceableNews, BlockNews, ChainNews, MiningOnNews } from '../chain/news.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { BlockHash, PeerId, SubtreeHash } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import { BoundedQueue } from '../lib/bounded-queue.ts';
import { settledWithin } from '../lib/deadline.ts';
import { P2PError } from '../lib/errors.ts';
import { pause } from '../lib/pause.ts';
import type { BlockHeaderRecord, FsmState } from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../ports/metrics.ts';
import type { Traces } from '../ports/traces.ts';
import type { TopicMessage } from '../wire/format.ts';
import { parseHeader } from '../wire/header.ts';
import { announcementsCounter } from './announcements.ts';
import type { Publisher } from './publisher.ts';

export interface AnnouncerOptions {
  /** Where peers fetch our blocks. */
  readonly dataHubUrl: string;
  /** Our name on message-bus; absent where that is not spoken. */
  readonly clientName?: string;
}

export interface AnnouncerDependencies {
  /** Called once for each published announcement. */
  readonly notify: (notification: Notification) => void;
  readonly clock: Clock;
  readonly publisher: Publisher;
  /** undefined while tracing is off. */
  readonly traces?: Traces | undefined;
  readonly ownId: PeerId;
  readonly chain: Pick<ChainTracker, 'subscribe' | 'bestHeader' | 'recentFsmState'>;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** News that may wait while the blockchain service is slow; the oldest is dropped. */
const MAX_WAITING = 1000;
/** Between two attempts while the service is down or at IDLE; in each of them its client retries by itself. */
const RETRY_MS = 500;
/** gRPC codes of a service that will be back. */
const OUTAGE_CODES: ReadonlySet<unknown> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED']);
/** How long a block waits for BlockSubtreesSet of a service that has never sent one: such a service may never do so. */
const UNSENT_WAIT_MS = 2000;
/** The same for a service that has sent one. */
const SUBTREES_WAIT_MS = 60_000;
/** Blocks that wait for their subtrees; when there are more, the oldest is announced without them. */
const MAX_HELD = 100;
/** In place of the FSM state for one that the client does not know: like every other state, it is not RUNNING. */
const UNKNOWN_STATE = 'UNKNOWN';
/** The client's code of an answer that it cannot read, such as an unknown FSM state. */
const UNREADABLE = 'DATA_LOSS';
/** How long a stop waits for the announcement under way; publishing takes much less. */
const STOP_MS = 500;

/** A block that waited for its subtrees, and may be announced now. */
interface ReadyBlock {
  readonly type: 'ready_block';
  readonly record: BlockHeaderRecord;
}

type Task = AnnounceableNews | ReadyBlock | Extract<ChainNews, { readonly type: 'block_subtrees_set' }>;

export class Announcer {
  private readonly deps: AnnouncerDependencies;
  private readonly options: AnnouncerOptions;
  private readonly announced: Counter;
  private readonly queue: BoundedQueue<Task>;
  /** Blocks that wait for their subtrees, oldest first. */
  private readonly held = new Map<BlockHash, { readonly record: BlockHeaderRecord; readonly timer: NodeJS.Timeout }>();
  /** The last announced block: the service repeats the tip with each subscription. */
  private lastBlock: BlockHash | undefined;
  /** Whether the service has ever sent BlockSubtreesSet. */
  private sendsSubtreesSet = false;
  private unsubscribe: (() => void) | undefined;
  private worker: Promise<void> | undefined;
  private readonly ended = new AbortController();

  constructor(deps: AnnouncerDependencies, options: AnnouncerOptions) {
    this.deps = deps;
    this.options = options;
    this.announced = announcementsCounter(deps.metrics);
    const dropped = deps.metrics.counter(
      'teranode_p2p_announce_dropped_total',
      'Blockchain notifications dropped because the queue of announcements was full',
    );
    this.queue = new BoundedQueue({ maxItems: MAX_WAITING, onDrop: () => dropped.add() });
    const help = 'Blockchain notifications waiting to be announced';
    const gauge = { name: 'teranode_p2p_announce_queue_length', help };
    gaugeWithBound(deps.metrics, gauge, () => this.queue.length, MAX_WAITING);
    const heldHelp = 'Blocks that wait for their subtrees before they are announced';
    const heldGauge = { name: 'teranode_p2p_announce_held_blocks', help: heldHelp };
    gaugeWithBound(deps.metrics, heldGauge, () => this.held.size, MAX_HELD);
  }

  /** The present tip is not announced; everything after it is. */
  start(): void {
    this.lastBlock = this.deps.chain.bestHeader()?.hash;
    this.unsubscribe = this.deps.chain.subscribe((news) => this.receive(news));
  }

  /** Does not wait for a service that does not answer. May be called twice. */
  async stop(): Promise<void> {
    this.ended.abort();
    this.unsubscribe?.();
    for (const { timer } of this.held.values()) clearTimeout(timer);
    this.held.clear();
    if (this.worker !== undefined) await settledWithin([this.worker], STOP_MS);
  }

  private receive(news: ChainNews): void {
    if (this.ended.signal.aborted || news.type === 'fsm_state' || news.type === 'peer_failure') return;
    if (news.type === 'block_subtrees_set') this.sendsSubtreesSet = true;
    this.push(news);
  }

  private push(task: Task): void {
    this.queue.push(task);
    this.worker ??= this.work().finally(() => {
      this.worker = undefined;
    });
  }

  private async work(): Promise<void> {
    const { signal } = this.ended;
    for (let next = this.queue.shift(); next !== undefined && !signal.aborted; next = this.queue.shift()) {
      for (let tries = 0; !signal.aborted && !(await this.isDone(next, tries)); tries += 1)
        await pause(RETRY_MS, signal);
    }
  }

  /** False while the service is down or at IDLE: nothing else could be announced either, and the news stays news. */
  private async isDone(task: Task, tries: number): Promise<boolean> {
    if (task.type === 'block_subtrees_set') {
      this.release(task.hash);
      return true;
    }
    const kind = task.type === 'ready_block' ? 'block' : task.type;
    try {
      const state = await this.stateOf(task);
      if (state === 'IDLE') return false;
      if (state === 'RUNNING') await this.announce(task);
      else this.announced.add(1, { kind, outcome: 'silent' });
      return true;
    } catch (error) {
      if (this.ended.signal.aborted) return true;
      const willRetry = isOutage(error);
      if (!willRetry) this.announced.add(1, { kind, outcome: 'failed' });
      const level = willRetry && tries > 0 ? 'debug' : 'warn';
      const event = willRetry ? 'announcement postponed' : 'announcement failed';
      this.deps.log[level]({ notification: kind, err: error, tries }, event);
      return !willRetry;
    }
  }

  /** A look-up that fails for good keeps nothing from being announced, as in Go. Throws while the service is down. */
  private async stateOf(task: AnnounceableNews | ReadyBlock): Promise<FsmState | typeof UNKNOWN_STATE> {
    try {
      // The state may have changed while the block waited for its subtrees.
      return await (task.type === 'ready_block' ? this.deps.chain.recentFsmState() : task.fsmState());
    } catch (error) {
      if (isOutage(error)) throw error;
      if (grpcCodeOf(error) === UNREADABLE) return UNKNOWN_STATE;
      this.deps.log.debug({ err: error }, 'failed to read the FSM state for an announcement');
      return 'RUNNING';
    }
  }

  private async announce(news: AnnounceableNews | ReadyBlock): Promise<void> {
    if (news.type === 'ready_block') await this.publishBlock(news.record);
    if (news.type === 'block') await this.announceBlock(news);
    if (news.type === 'subtree') await this.announceSubtree(news.hash);
    if (news.type === 'mining_on') await this.announceMiningOn(news);
  }

  private async announceBlock({ hash, subtreesSet, header: readHeader }: BlockNews): Promise<void> {
    if (hash === this.lastBlock) return;
    const record = await readHeader();
    if (record === undefined || record.invalid) return;
    this.lastBlock = hash;
    if (subtreesSet) await this.publishBlock(record);
    else this.hold(record);
  }

  private hold(record: BlockHeaderRecord): void {
    const [oldest] = this.held.keys();
    if (oldest !== undefined && this.held.size >= MAX_HELD) this.release(oldest);
    this.wait(record, this.sendsSubtreesSet ? SUBTREES_WAIT_MS : UNSENT_WAIT_MS);
  }

  /** Waits `moreMs` more when the service has sent its first BlockSubtreesSet meanwhile. */
  private wait(record: BlockHeaderRecord, ms: number, moreMs = SUBTREES_WAIT_MS - ms): void {
    const { hash } = record;
    const end = () => {
      if (this.sendsSubtreesSet && moreMs > 0) this.wait(record, moreMs, 0);
      else this.release(hash);
    };
    this.held.set(hash, { record, timer: setTimeout(end, ms).unref() });
  }

  private release(hash: BlockHash): void {
    const held = this.held.get(hash);
    if (held === undefined) return;
    this.held.delete(hash);
    clearTimeout(held.timer);
    this.push({ type: 'ready_block', record: held.record });
  }

  private async publishBlock({ hash, height, header }: BlockHeaderRecord): Promise<void> {
    const { dataHubUrl, clientName = '' } = this.options;
    const message = { hash, height, dataHubUrl, peerId: this.deps.ownId, header, clientName };
    await this.publish({ kind: 'block', message }, { ...this.own(), type: 'block', hash, height, ...this.name() });
  }

  private async announceSubtree(hash: SubtreeHash): Promise<void> {
    const { dataHubUrl, clientName = '' } = this.options;
    const message = { hash, dataHubUrl, peerId: this.deps.ownId, clientName };
    await this.publish({ kind: 'subtree', message }, { ...this.own(), type: 'subtree', hash, ...this.name() });
  }

  private name(): { readonly clientName?: string } {
    const { clientName } = this.options;
    return clientName ? { clientName } : {};
  }

  /** Describes the best header: `hash` is the tip, `previousHash` its parent. */
  private async announceMiningOn(news: MiningOnNews): Promise<void> {
    const facts = this.miningOn(await news.bestHeader());
    const { dataHubUrl } = this.options;
    const message = { ...facts, dataHubUrl, peerId: this.deps.ownId };
    await this.publish({ kind: 'mining_on', message }, { ...this.own(), type: 'mining_on', ...facts });
  }

  private miningOn(best: BlockHeaderRecord) {
    const header = parseHeader(best.header);
    if (header === undefined) throw new TypeError('the blockchain service returned a header that is not 80 bytes long');
    const { hash, height, miner, sizeInBytes, txCount } = best;
    return { hash, previousHash: header.previousHash, height, miner, sizeInBytes, txCount };
  }

  private own() {
    const { ownId, clock } = this.deps;
    return { isOwn: true, atMs: clock.now(), baseUrl: this.options.dataHubUrl, peerId: ownId } as const;
  }

  private async publish(announcement: TopicMessage, notification: Notification): Promise<void> {
    if (this.ended.signal.aborted) return;
    const { kind } = announcement;
    const { traces } = this.deps;
    const startedMs = traces === undefined ? 0 : performance.now();
    const outcome = await this.deps.publisher.publish(announcement);
    if (traces !== undefined && (kind === 'block' || kind === 'subtree')) {
      const { hash, dataHubUrl } = announcement.message;
      traces.record({ kind, hash, name: 'announce', startedMs, attributes: { outcome, datahub_url: dataHubUrl } });
    }
    this.announced.add(1, { kind, outcome });
    if (outcome !== 'published') return;
    this.deps.log.debug({ kind }, 'announced');
    this.deps.notify(notification);
  }
}

function isOutage(error: unknown): boolean {
  return OUTAGE_CODES.has(grpcCodeOf(error));
}

/** undefined for any error but a failed call. */
function grpcCodeOf(error: unknown): unknown {
  return error instanceof P2PError && error.code === 'RPC_FAILED' ? error.details.grpcCode : undefined;
}
