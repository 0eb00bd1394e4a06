// Lets the embedded chain follow the announcements of peers, as block validation does for a Teranode: it reads the
// blocks topic of the in-process broker, fetches the headers that are missing from the DataHub of the announcement,
// checks them, and goes over to the most work. What a peer announces is fetched one after the other; of what waits for
// one peer only the newest counts.
import type { BlockAnnouncement } from '../../domain/announcement.ts';
import type { PeerEvent } from '../../domain/peer-history.ts';
import type { InvalidBlockReport } from '../../domain/report.ts';
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Consumer } from '../../ports/consumer.ts';
import type { DataHubClient } from '../../ports/datahub-client.ts';
import type { Logger } from '../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';
import type { NetworkParameters } from '../../wire/networks.ts';
import type { EmbeddedChain } from './embedded-chain.ts';
import { catchUp, type FetchEnd } from './header-fetch.ts';

export interface ChainFollowerDependencies {
  readonly chain: EmbeddedChain;
  /** The blocks that gossip and the sync manager hand on. */
  readonly announced: Consumer<BlockAnnouncement>;
  readonly client: DataHubClient;
  /** For a block whose header breaks the rules. */
  readonly reportInvalid: (report: InvalidBlockReport) => void;
  /** For the history of the peer. Must not throw. */
  readonly experienced: (peerId: string, event: PeerEvent) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Peers with an announcement that waits. */
const MAX_WAITING = 1000;
/** Fetches at once, each from another peer. */
const MAX_RUNNING = 4;

/** Ends for which the answer of the peer's DataHub is the proof. */
const AT_FAULT: ReadonlySet<FetchEnd['outcome']> = new Set(['wrong', 'too_long', 'invalid', 'no_progress']);
const OUTCOMES: readonly FetchEnd['outcome'][] = [
  ...(['done', 'known', 'less_work', 'too_deep', 'too_slow', 'too_far_ahead', 'invalid', 'no_progress'] as const),
  ...(['unreachable', 'timeout', 'aborted', 'not_found', 'status', 'too_long', 'wrong'] as const),
];

export class ChainFollower {
  private readonly deps: ChainFollowerDependencies;
  private readonly network: NetworkParameters;
  private readonly waiting: BoundedMap<string, BlockAnnouncement>;
  private readonly running = new Map<string, Promise<void>>();
  private readonly fetches: Counter;
  private readonly headers: Counter;
  private readonly ended = new AbortController();
  private catchingUp = 0;

  constructor(deps: ChainFollowerDependencies, options: { readonly network: NetworkParameters }) {
    this.deps = deps;
    this.network = options.network;
    const { metrics } = deps;
    this.fetches = metrics.counter(
      'teranode_p2p_chain_fetches_total',
      'Fetches of headers from DataHubs of peers for the embedded chain, by outcome',
      ['outcome'],
    );
    for (const outcome of OUTCOMES) this.fetches.add(0, { outcome });
    this.headers = metrics.counter(
      'teranode_p2p_chain_headers_taken_total',
      'Headers of peers that the embedded chain took',
    );
    const dropped = metrics.counter(
      'teranode_p2p_chain_announcements_dropped_total',
      'Announcements that the embedded chain dropped because too many peers had one waiting',
    );
    this.waiting = new BoundedMap({ max: MAX_WAITING, onEvict: () => dropped.add() });
    const gauge = {
      name: 'teranode_p2p_chain_announcements_waiting',
      help: 'Peers whose announcement waits to be fetched',
    };
    gaugeWithBound(metrics, gauge, () => this.waiting.size, MAX_WAITING);
  }

  async start(signal: AbortSignal): Promise<void> {
    await this.deps.announced.start(({ value }) => (value.ok ? this.take(value.message) : undefined), signal);
  }

  /** Ends fetches under way at once. May be called twice. */
  async stop(deadlineMs: number): Promise<void> {
    this.ended.abort();
    this.waiting.clear();
    await Promise.all([this.deps.announced.stop(deadlineMs), ...this.running.values()]);
  }

  private take(announcement: BlockAnnouncement): void {
    if (this.ended.signal.aborted || this.deps.chain.header(announcement.hash) !== undefined) return;
    this.waiting.set(announcement.peerId || announcement.url, announcement);
    this.next();
  }

  private next(): void {
    for (const [peer, announcement] of this.waiting.oldestFirst()) {
      if (this.running.size >= MAX_RUNNING) return;
      if (this.running.has(peer)) continue;
      this.waiting.delete(peer);
      const fetching = this.fetch(announcement).finally(() => {
        this.running.delete(peer);
        this.next();
      });
      this.running.set(peer, fetching);
    }
  }

  /** Never rejects. */
  private async fetch(announcement: BlockAnnouncement): Promise<void> {
    const { log, clock } = this.deps;
    const startedMs = clock.monotonic();
    let isCatchingUp = false;
    try {
      const end = await catchUp(
        this.deps,
        { ...announcement, network: this.network },
        {
          onTaken: (count) => this.headers.add(count),
          onCatchUp: () => {
            isCatchingUp = true;
            this.catchUpBegan();
          },
        },
        this.ended.signal,
      );
      this.fetches.add(1, { outcome: end.outcome });
      this.judge(announcement, end, clock.monotonic() - startedMs);
    } catch (error) {
      if (!this.ended.signal.aborted) log.error({ ...announcement, err: error }, 'failed to follow an announced block');
    } finally {
      if (isCatchingUp) this.catchUpEnded();
    }
  }

  private judge(announcement: BlockAnnouncement, end: FetchEnd, tookMs: number): void {
    const { chain, log } = this.deps;
    const { hash, url, peerId } = announcement;
    const { outcome, details, taken } = end;
    if (outcome === 'aborted' || outcome === 'known') return;
    const seen = { hash, peerId, dataHubUrl: url, outcome, taken, details };
    if (outcome === 'done') {
      this.experienced(announcement, { type: 'catchup_attempt' });
      const { height, chainWork } = chain.header(hash) ?? chain.best();
      log[taken > 1 ? 'info' : 'debug']({ ...seen, height }, 'took headers of a peer');
      this.experienced(announcement, { type: 'catchup_success', responseMs: tookMs });
      if (chainWork !== undefined)
        this.experienced(announcement, { type: 'validated_progress', height, hash, chainWork });
      return;
    }
    log[outcome === 'less_work' ? 'debug' : 'info'](seen, 'took no headers of a peer');
    if (!AT_FAULT.has(outcome)) return;
    this.experienced(announcement, { type: 'catchup_attempt' });
    this.experienced(announcement, {
      type: outcome === 'invalid' ? 'catchup_malicious' : 'catchup_failure',
      kind: 'generic',
    });
    if (outcome === 'invalid') this.deps.reportInvalid({ hash, reason: details, peerId, peerUrl: url });
    chain.peerFailed(peerId, `${outcome}: ${details}`);
  }

  private experienced({ peerId }: BlockAnnouncement, event: PeerEvent): void {
    if (peerId !== '') this.deps.experienced(peerId, event);
  }

  /** The FSM tells the sync manager, and all who announce, that the chain is behind. */
  private catchUpBegan(): void {
    this.catchingUp += 1;
    if (this.catchingUp === 1) this.deps.chain.moveFsm('RUNNING', 'CATCHINGBLOCKS');
  }

  private catchUpEnded(): void {
    this.catchingUp -= 1;
    if (this.catchingUp === 0) this.deps.chain.moveFsm('CATCHINGBLOCKS', 'RUNNING');
  }
}
