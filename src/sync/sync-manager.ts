// Keeps a sync peer while this node is behind (spec `SyncManager`). The FSM state decides when and how often the sync
// is evaluated; `chooseSyncPeer` makes the choice and a `SyncSession` follows the attempt. Timers and trigger are here.

import type { ChainNews } from '../chain/news.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { BlockHash, PeerId } from '../domain/ids.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import { type Repeating, repeating } from '../lib/repeating.ts';
import { TokenBucket } from '../lib/token-bucket.ts';
import type { FsmState } from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { SyncPeer, SyncStatus } from '../ports/sync-status.ts';
import {
  chooseSyncPeer,
  type FitPeer,
  fitnessOf,
  type SyncCandidate,
  type SyncPeerRow,
  type WhyNobody,
} from './choose-sync-peer.ts';
import { FailedAttempts } from './failed-attempts.ts';
import { MAX_CONNECTION_TIMES, type SyncCounters, syncMetrics } from './sync-metrics.ts';
import { type SyncEnd, SyncSession } from './sync-session.ts';

export interface SyncManagerDependencies {
  /** The connected peers. Cheap; called in each round of the evaluation. */
  candidates(): readonly SyncPeerRow[];
  readonly chain: Pick<ChainTracker, 'recentBestHeader' | 'recentFsmState' | 'subscribe'>;
  /** Publishes to the blocks topic of Kafka; never blocks. */
  publishBlock(announcement: { readonly hash: BlockHash; readonly url: string; readonly peerId: PeerId }): void;
  /** Adds `catch_up_failure` to the peer's score. */
  penalizeFailure(peerId: PeerId): void;
  connectedCount(): number;
  readonly clock: Clock;
  /** [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface SyncManagerOptions {
  /** `p2p_min_peers_for_sync`. */
  readonly minPeers: number;
  /** `p2p_max_wait_for_min_peers`, counted from `start`. */
  readonly maxWaitMs: number;
  /** `p2p_force_sync_peer`; then the manager does not wait for other peers. */
  readonly forcedPeer: PeerId | undefined;
  /** Whether there are `p2p_bootstrap_addresses`, through which more peers will connect. */
  readonly hasBootstrap: boolean;
}

/** Intervals between rounds, as in Go (wire.md, "Sync, Go's times"). */
const BEHIND_INTERVAL_MS = 2000;
const LEVEL_INTERVAL_MS = 15_000;
const CATCH_UP_INTERVAL_MS = 30_000;
/** At most four rounds per second, whatever happens: each asks the blockchain service. */
const MIN_INTERVAL_MS = 250;
/**
 * Triggers for all peers together, so that peers which connect, claim and leave cannot make us flood our own Kafka
 * topic: five at once, which is more than changes of the sync peer in a minute, then one per 10 s.
 */
const TRIGGER_RATE = { perSecond: 0.1, burst: 5 };
const MAX_REASON_CHARS = 200;
/** Some peer is ahead of us, though none was chosen. */
const BEHIND: ReadonlySet<WhyNobody> = new Set(['none_usable', 'forced_unusable']);
/** Ends that count as a failed attempt when our chain did not grow meanwhile. */
const EARLY_ENDS: ReadonlySet<SyncEnd> = new Set(['level', 'left', 'unusable', 'inactive']);

export class SyncManager implements SyncStatus {
  private readonly deps: SyncManagerDependencies;
  private readonly options: SyncManagerOptions;
  private readonly counters: SyncCounters;
  private readonly attempts = new FailedAttempts();
  private readonly triggerRate: TokenBucket;
  /** Unix ms at which a connected peer was first chosen. */
  private readonly chosenAtMs = new BoundedMap<PeerId, number>({ max: MAX_CONNECTION_TIMES });
  private session: SyncSession | undefined;
  private previousPeer: PeerId | undefined;
  private state: FsmState | undefined;
  private ownHeight = 0;
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
    this.isAwaitingPeers = options.forcedPeer === undefined;
    this.counters = syncMetrics(deps.metrics, {
      state: () => (this.session === undefined ? 'none' : this.session.isCatchingUp ? 'catching_up' : 'chosen'),
      blocksBehind: () => Math.max(0, (this.session?.peer.height ?? 0) - this.ownHeight),
      failedPeers: () => this.attempts.catchUpPeers,
      stalledPeers: () => this.attempts.noProgressPeers,
      connectionTimes: () => this.chosenAtMs.size,
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

  /**
   * A version or verack arrived and is in the registry. If its author is ahead, the sync is evaluated at once, without
   * waiting for more peers: without bootstrap nodes there may never be any. With bootstrap nodes nothing happens.
   */
  peerAhead(peerId: PeerId): void {
    if (this.options.hasBootstrap || this.session !== undefined || this.isPeerAhead) return;
    const row = this.candidates().find((each) => each.peerId === peerId);
    const at = { ownHeight: this.ownHeight, nowMs: this.deps.clock.monotonic() };
    if (row === undefined || !fitnessOf(row, at).isFit) return;
    this.isPeerAhead = true;
    this.loop?.wake();
  }

  /** The peer's last connection has closed. */
  peerLeft(peerId: PeerId): void {
    this.chosenAtMs.delete(peerId);
    if (this.session?.peer.peerId !== peerId) return;
    this.end('left');
    this.loop?.wake();
  }

  private async evaluate(signal: AbortSignal): Promise<void> {
    const { chain, clock } = this.deps;
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
    const best = state === 'IDLE' ? undefined : await chain.recentBestHeader(maxAgeMs);
    if (signal.aborted) return;
    this.wasFailing = false;
    this.decide(this.state ?? state, best?.height, returned);
  }

  /** Synchronous, so that nothing changes underneath. `returned` was back at RUNNING before the height was read. */
  private decide(state: FsmState, ownHeight: number | undefined, returned: SyncSession | undefined): void {
    if (state === 'IDLE' || ownHeight === undefined) {
      if (state === 'IDLE' && this.session !== undefined) this.end('idle');
      return;
    }
    if (ownHeight > this.ownHeight) this.attempts.chainGrew();
    this.ownHeight = ownHeight;
    this.assess(state, returned !== undefined && returned === this.session);
    if (this.session === undefined) this.choose(state);
    this.pull(state);
    if (this.session !== undefined) this.nextRoundMs = state === 'RUNNING' ? BEHIND_INTERVAL_MS : CATCH_UP_INTERVAL_MS;
  }

  private assess(state: FsmState, hadReturned: boolean): void {
    const { session, ownHeight } = this;
    if (session === undefined) return;
    const nowMs = this.deps.clock.monotonic();
    const { peerId } = session.peer;
    const candidates = this.candidates();
    const row = candidates.find((each) => each.peerId === peerId);
    const end = session.assess({
      state,
      ownHeight,
      fitness: row && fitnessOf(row, { ownHeight, nowMs }),
      messageAgeMs: this.deps.clock.now() - (row?.lastMessageMs ?? 0),
      hadReturned,
      hasUntriedAlternative: this.hasUntried(candidates, peerId, nowMs),
      nowMs,
    });
    if (end !== undefined) this.end(end);
  }

  private hasUntried(candidates: readonly SyncCandidate[], besides: PeerId, nowMs: number): boolean {
    const { ownHeight } = this;
    return (
      this.options.forcedPeer === undefined &&
      candidates.some(
        (each) => each.peerId !== besides && each.attempts.failed === 0 && fitnessOf(each, { ownHeight, nowMs }).isFit,
      )
    );
  }

  private choose(state: FsmState): void {
    const { clock, random, log } = this.deps;
    const { ownHeight, previousPeer } = this;
    const { forcedPeer } = this.options;
    const nowMs = clock.monotonic();
    const choice = chooseSyncPeer(
      { ownHeight, candidates: this.candidates(), forcedPeer, previousPeer, nowMs },
      random,
    );
    const isWaiting = this.mustAwaitPeers(nowMs);
    if (choice.outcome === 'nobody' || isWaiting) {
      this.counters.choices.add(1, { outcome: choice.outcome === 'nobody' ? choice.why : 'awaiting_peers' });
      if (choice.outcome === 'nobody' && BEHIND.has(choice.why)) this.nextRoundMs = BEHIND_INTERVAL_MS;
      if (isWaiting) this.nextRoundMs = Math.min(BEHIND_INTERVAL_MS, this.startedMs + this.options.maxWaitMs - nowMs);
      return;
    }
    this.isAwaitingPeers = false;
    this.counters.choices.add(1, { outcome: 'chosen' });
    this.session = new SyncSession(choice.peer, { state, ownHeight, nowMs, sinceMs: this.connectionTime(choice.peer) });
    const { peerId, height, hash, score } = choice.peer;
    log.info({ peerId, height, hash, score, ownHeight, state }, 'sync peer chosen');
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

  /**
   * Our own block validation gave up on a peer. A peer that is not the sync peer gets a cool-down too, unless its
   * attempt ended for this very failure.
   */
  private peerFailed({ peerId, failureType, reason }: { peerId: string; failureType: string; reason: string }): void {
    const failure = { peerId, failureType, reason: reason.slice(0, MAX_REASON_CHARS) };
    this.deps.log.info(failure, 'block validation reported a peer failure');
    if (this.session?.peer.peerId === peerId) {
      this.end('failed');
      this.loop?.wake();
      return;
    }
    const nowMs = this.deps.clock.monotonic();
    if (!this.attempts.isAtFault(peerId, nowMs)) this.attempts.catchUpFailed(peerId, nowMs);
  }

  private end(reason: SyncEnd): void {
    const { session } = this;
    if (session === undefined) return;
    const { peerId, height } = session.peer;
    this.session = undefined;
    this.previousPeer = peerId;
    this.counters.ends.add(1, { reason });
    this.noteAttempt(session, reason);
    const failedAttempts = this.attempts.of(peerId, this.deps.clock.monotonic()).failed;
    this.deps.log.info({ peerId, height, ownHeight: this.ownHeight, reason, failedAttempts }, 'sync peer given up');
    if (reason === 'failed') this.deps.penalizeFailure(peerId);
  }

  private noteAttempt(session: SyncSession, reason: SyncEnd): void {
    const { peerId } = session.peer;
    const nowMs = this.deps.clock.monotonic();
    if (session.hasDelivered) this.attempts.delivered(peerId);
    if (reason === 'failed') this.attempts.catchUpFailed(peerId, nowMs);
    else if (reason === 'stalled') this.attempts.madeNoProgress(peerId, nowMs);
    else if (EARLY_ENDS.has(reason) && !session.hasProgressed) this.attempts.endedEarly(peerId, nowMs);
  }

  private candidates(): SyncCandidate[] {
    const nowMs = this.deps.clock.monotonic();
    return this.deps.candidates().map((row) => ({ ...row, attempts: this.attempts.of(row.peerId, nowMs) }));
  }

  /** Only the first of several failures in a row is a warning. */
  private evaluationFailed(error: unknown): void {
    this.counters.failedEvaluations.add();
    this.deps.log[this.wasFailing ? 'debug' : 'warn']({ err: error }, 'sync evaluation failed');
    this.wasFailing = true;
  }
}
