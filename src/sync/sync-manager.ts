// Keeps a sync peer while this node is behind (spec `SyncManager`). The FSM state decides when and how often the sync
// is evaluated; the policy of the wire in force chooses the peer and gives it up, and a `SyncSession` follows the
// attempt. Timers and trigger are here.

import type { ChainNews } from '../chain/news.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { BlockHash, PeerId } from '../domain/ids.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import { type Repeating, repeating } from '../lib/repeating.ts';
import { TokenBucket } from '../lib/token-bucket.ts';
import type { BlockHeaderRecord, FsmState } from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { EndedSync, SyncChoice, SyncExplanations, SyncPeer, SyncStatus } from '../ports/sync-status.ts';
import { parsePeerId } from '../wire/peer-id.ts';
import { ChoiceRecord } from './choice-record.ts';
import type { FitPeer, SyncRound } from './evaluation.ts';
import { MAX_CONNECTION_TIMES, type SyncCounters, syncMetrics } from './sync-metrics.ts';
import type { SyncEnd, SyncPolicy, WeighedChoice, WhyNobody } from './sync-policy.ts';
import { SyncSession } from './sync-session.ts';

export interface SyncManagerDependencies {
  readonly policy: SyncPolicy;
  readonly chain: Pick<ChainTracker, 'recentBestHeader' | 'recentFsmState' | 'subscribe'>;
  /** Publishes to the blocks topic of Kafka; never blocks. */
  publishBlock(announcement: { readonly hash: BlockHash; readonly url: string; readonly peerId: PeerId }): void;
  connectedCount(): number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface SyncManagerOptions {
  /** `p2p_min_peers_for_sync`. */
  readonly minPeers: number;
  /** `p2p_max_wait_for_min_peers`, counted from `start`. */
  readonly maxWaitMs: number;
  /** With `p2p_force_sync_peer` the manager does not wait for other peers. */
  readonly hasForcedPeer: boolean;
  /** Whether there are `p2p_bootstrap_addresses`, through which more peers will connect. */
  readonly hasBootstrap: boolean;
}

/** Intervals between rounds, as in Go (wire.md, "Sync, Go's times"; today.md, "Sync"). */
const BEHIND_INTERVAL_MS = 2000;
const LEVEL_INTERVAL_MS = 15_000;
/** At most four rounds per second, whatever happens: each asks the blockchain service. */
const MIN_INTERVAL_MS = 250;
/**
 * Triggers for all peers together, so that peers which connect, claim and leave cannot make us flood our own Kafka
 * topic: five at once, which is more than changes of the sync peer in a minute, then one per 10 s.
 */
const TRIGGER_RATE = { perSecond: 0.1, burst: 5 };
const MAX_REASON_CHARS = 200;
/** Some peer is ahead of us, though none was chosen. */
const BEHIND: ReadonlySet<WhyNobody> = new Set(['none_usable', 'forced_unusable', 'awaiting_check', 'backing_off']);

export class SyncManager implements SyncStatus, SyncExplanations {
  private readonly deps: SyncManagerDependencies;
  private readonly options: SyncManagerOptions;
  private readonly counters: SyncCounters;
  private readonly triggerRate: TokenBucket;
  private readonly record: ChoiceRecord;
  /** Unix ms at which a connected peer was first chosen. */
  private readonly chosenAtMs = new BoundedMap<PeerId, number>({ max: MAX_CONNECTION_TIMES });
  private session: SyncSession | undefined;
  private state: FsmState | undefined;
  private own: Pick<SyncRound, 'ownHeight' | 'ownWork'> = { ownHeight: 0, ownWork: undefined };
  private startedMs = 0;
  private lastRoundMs: number | undefined;
  private isAwaitingPeers: boolean;
  private isPeerAhead = false;
  private wasFailing = false;
  private nextRoundMs = LEVEL_INTERVAL_MS;
  private loop: Repeating | undefined;
  private isStopped = false;
  private unsubscribe: (() => void) | undefined;

  constructor(deps: SyncManagerDependencies, options: SyncManagerOptions) {
    this.deps = deps;
    this.options = options;
    this.triggerRate = new TokenBucket(TRIGGER_RATE, deps.clock.monotonic());
    this.record = new ChoiceRecord(deps.clock);
    this.isAwaitingPeers = !options.hasForcedPeer;
    this.counters = syncMetrics(deps.metrics, {
      state: () => (this.session === undefined ? 'none' : this.session.isCatchingUp ? 'catching_up' : 'chosen'),
      blocksBehind: () => Math.max(0, (this.session?.peer.height ?? 0) - this.own.ownHeight),
      memories: [
        ...deps.policy.memories,
        { kind: 'connection_times', size: () => this.chosenAtMs.size, bound: MAX_CONNECTION_TIMES },
      ],
    });
  }

  /** Begins to evaluate; once. Waits for nothing. */
  start(): void {
    if (this.loop !== undefined || this.isStopped) return;
    this.startedMs = this.deps.clock.monotonic();
    this.unsubscribe = this.deps.chain.subscribe((news) => this.receive(news));
    this.loop = repeating(
      (signal) => this.evaluate(signal),
      { firstMs: 0, nextMs: () => this.nextRoundMs },
      (error) => this.evaluationFailed(error),
    );
  }

  /** May be called twice; a round under way has no effect any more. */
  stop(): void {
    this.isStopped = true;
    this.loop?.stop();
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    this.session = undefined;
  }

  syncPeer(): SyncPeer | undefined {
    if (this.session === undefined) return undefined;
    const { peer, sinceMs } = this.session;
    return { peerId: peer.peerId, height: peer.height, hash: peer.hash, sinceMs };
  }

  choice(): SyncChoice | undefined {
    return this.record.choice();
  }

  lastEnd(): EndedSync | undefined {
    return this.record.lastEnd();
  }

  /**
   * A version or verack arrived and is in the registry. If its author is ahead, the sync is evaluated at once, without
   * waiting for more peers: without bootstrap nodes there may never be any. With bootstrap nodes nothing happens.
   */
  peerAhead(peerId: PeerId): void {
    if (this.options.hasBootstrap || this.session !== undefined || this.isPeerAhead) return;
    if (!this.deps.policy.isFit(peerId, this.round(this.state ?? 'RUNNING'))) return;
    this.isPeerAhead = true;
    this.loop?.wake();
  }

  /** The peer's last connection has closed. */
  peerLeft(peerId: PeerId): void {
    this.chosenAtMs.delete(peerId);
    if (!this.deps.policy.needsConnection || this.session?.peer.peerId !== peerId) return;
    this.end('left');
    this.loop?.wake();
  }

  private async evaluate(signal: AbortSignal): Promise<void> {
    const { chain, clock, policy } = this.deps;
    const sinceMs = clock.monotonic() - (this.lastRoundMs ?? Number.NEGATIVE_INFINITY);
    this.nextRoundMs = MIN_INTERVAL_MS - sinceMs;
    if (this.nextRoundMs > 0) return;
    this.lastRoundMs = clock.monotonic();
    this.nextRoundMs = LEVEL_INTERVAL_MS;
    const state = await chain.recentFsmState();
    if (signal.aborted) return;
    this.sawState(state);
    const returned = this.session?.hasReturned === true ? this.session : undefined;
    // A peer that did not deliver is penalized, so then only a height read from now on will do.
    const maxAgeMs = returned === undefined ? MIN_INTERVAL_MS : 0;
    const best = policy.activeStates.has(state) ? await chain.recentBestHeader(maxAgeMs) : undefined;
    if (signal.aborted) return;
    this.wasFailing = false;
    this.decide(this.state ?? state, best, returned);
  }

  /** Synchronous, so that nothing changes underneath. `returned` was back at RUNNING before the height was read. */
  private decide(state: FsmState, best: BlockHeaderRecord | undefined, returned: SyncSession | undefined): void {
    const { policy } = this.deps;
    const isActive = policy.activeStates.has(state);
    if (!isActive && this.session !== undefined) this.end('idle');
    if (!isActive) this.record.noteChoice('idle', undefined);
    if (!isActive || best === undefined) return;
    this.own = { ownHeight: best.height, ownWork: best.chainWork };
    const round = this.round(state, returned !== undefined && returned === this.session);
    policy.roundBegan(round);
    const end = this.session && policy.endOf(this.session, round);
    if (end !== undefined) this.end(end);
    if (this.session === undefined) this.choose(round);
    this.pull(state);
    if (this.session !== undefined)
      this.nextRoundMs = state === 'RUNNING' ? BEHIND_INTERVAL_MS : policy.catchUpIntervalMs;
  }

  private round(state: FsmState, hadReturned = false): SyncRound {
    return { ...this.own, state, hadReturned, nowMs: this.deps.clock.monotonic() };
  }

  private choose(round: SyncRound): void {
    const { log, policy } = this.deps;
    const { state, ownHeight, nowMs } = round;
    const choice = policy.choose(round);
    const isWaiting = this.mustAwaitPeers(nowMs);
    if (choice.outcome === 'nobody' || isWaiting) {
      this.choseNobody(choice);
      if (choice.outcome === 'nobody') this.record.noteChoice(choice.why, choice.weighed);
      else this.record.noteChoice('awaiting_peers', undefined);
      if (isWaiting) this.nextRoundMs = Math.min(BEHIND_INTERVAL_MS, this.startedMs + this.options.maxWaitMs - nowMs);
      return;
    }
    this.isAwaitingPeers = false;
    this.counters.choices.add(1, { outcome: 'chosen' });
    this.session = new SyncSession(choice.peer, { state, ownHeight, nowMs, sinceMs: this.connectionTime(choice.peer) });
    policy.chosen(this.session, round);
    this.record.noteChoice('chosen', choice.weighed, choice.peer.peerId);
    const { peerId, height, hash, score, deliveryShare, isProbe } = choice.peer;
    log.info({ peerId, height, hash, score, deliveryShare, isProbe, ownHeight, state }, 'sync peer chosen');
  }

  private choseNobody(choice: WeighedChoice): void {
    this.counters.choices.add(1, { outcome: choice.outcome === 'nobody' ? choice.why : 'awaiting_peers' });
    if (choice.outcome === 'nobody' && BEHIND.has(choice.why)) this.nextRoundMs = BEHIND_INTERVAL_MS;
  }

  /** At most `maxWaitMs` from the start, and never again once there were enough peers. */
  private mustAwaitPeers(nowMs: number): boolean {
    const { minPeers, maxWaitMs } = this.options;
    if (this.deps.connectedCount() >= minPeers || nowMs - this.startedMs >= maxWaitMs) this.isAwaitingPeers = false;
    const isExpedited = this.isPeerAhead;
    this.isPeerAhead = false;
    return this.isAwaitingPeers && !isExpedited;
  }

  private connectionTime({ peerId }: FitPeer): number {
    const sinceMs = this.chosenAtMs.get(peerId) ?? this.deps.clock.now();
    this.chosenAtMs.set(peerId, sinceMs);
    return sinceMs;
  }

  /** Requests that block validation fetches the sync peer's best block, when that is due. */
  private pull(state: FsmState): void {
    const { session } = this;
    const nowMs = this.deps.clock.monotonic();
    if (session?.isTriggerDue(state, nowMs) !== true) return;
    const isAllowed = this.triggerRate.take(nowMs);
    this.counters.triggers.add(1, { outcome: isAllowed ? 'published' : 'limited' });
    if (!isAllowed) return;
    const { peerId, hash, dataHubUrl: url } = session.peer;
    this.deps.publishBlock({ hash, url, peerId });
    session.triggered(state, nowMs);
    this.deps.policy.triggered(peerId);
  }

  private receive(news: ChainNews): void {
    if (news.type === 'fsm_state' && this.sawState(news.state)) this.loop?.wake();
    if (news.type === 'peer_failure') this.peerFailed(news);
  }

  /** True when the state has changed. */
  private sawState(state: FsmState): boolean {
    const isNew = state !== this.state;
    this.state = state;
    this.session?.sawState(state, this.deps.clock.monotonic());
    return isNew;
  }

  /** Our own block validation gave up on a peer. Peers of the legacy service have names that are no peer IDs. */
  private peerFailed({ peerId, failureType, reason }: { peerId: string; failureType: string; reason: string }): void {
    const failure = { peerId, failureType, reason: reason.slice(0, MAX_REASON_CHARS) };
    this.deps.log.info(failure, 'block validation reported a peer failure');
    if (this.session?.peer.peerId !== peerId) {
      const known = parsePeerId(peerId);
      if (known !== undefined) this.deps.policy.failureReported(known);
      return;
    }
    this.end('failed');
    this.loop?.wake();
  }

  private end(reason: SyncEnd): void {
    const { session } = this;
    if (session === undefined) return;
    const { peerId, height } = session.peer;
    const { ownHeight } = this.own;
    this.session = undefined;
    this.counters.ends.add(1, { reason });
    const failedAttempts = this.deps.policy.ended(session, reason);
    this.record.noteEnd(peerId, reason, failedAttempts);
    this.deps.log.info({ peerId, height, ownHeight, reason, failedAttempts }, 'sync peer given up');
  }

  /** Only the first of several failures in a row is a warning. */
  private evaluationFailed(error: unknown): void {
    this.counters.failedEvaluations.add();
    this.deps.log[this.wasFailing ? 'debug' : 'warn']({ err: error }, 'sync evaluation failed');
    this.wasFailing = true;
  }
}
