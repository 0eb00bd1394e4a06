// Keeps a sync peer while this node is behind (spec `SyncManager`). The chain's state machine says when to look and how often; the choice is
// `chooseSyncPeer`, its course is a `SyncSession`. Here are the timers, the questions to the blockchain service, and the trigger.

import type { ChainNews } from '../chain/news.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { BlockHash, PeerId } from '../domain/ids.ts';
import { type Repeating, repeating } from '../lib/repeating.ts';
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
import { MAX_CONNECTION_TIMES, type SyncCounters, syncMetrics } from './sync-metrics.ts';
import { SyncMisses } from './sync-misses.ts';
import { type SyncEnd, SyncSession } from './sync-session.ts';
import { TriggerRate } from './trigger-rate.ts';

export interface SyncManagerDependencies {
  /** Connected peers as they are now. Cheap; called at each look. */
  candidates(): readonly SyncPeerRow[];
  readonly chain: Pick<ChainTracker, 'recentBestHeader' | 'recentFsmState' | 'subscribe'>;
  /** To the blocks topic of Kafka; never blocks. */
  publishBlock(announcement: { readonly hash: BlockHash; readonly url: string; readonly peerId: PeerId }): void;
  /** Adds `catch_up_failure` to the peer's score. */
  chargeFailure(peerId: PeerId): void;
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
  /** `p2p_max_wait_for_min_peers`, from `start` on. */
  readonly maxWaitMs: number;
  /** `p2p_force_sync_peer`; no other peers are awaited then. */
  readonly forcedPeer: PeerId | undefined;
  /** Whether there are `p2p_bootstrap_addresses`, through which more peers are to be expected. */
  readonly hasBootstrap: boolean;
}

/** Go's times (wire.md, "Sync, Go's times"). */
const LOOK_BEHIND_MS = 2000;
const LOOK_LEVEL_MS = 15_000;
const EVALUATE_MS = 30_000;
/** However much happens, the blockchain service is asked at most four times a second. */
const LEAST_GAP_MS = 250;
const MAX_REASON_CHARS = 200;
/** Somebody is ahead of us all the same. */
const BEHIND: ReadonlySet<WhyNobody> = new Set(['none_usable', 'forced_unusable']);
/** Ends that say something of the peer when our chain did not grow meanwhile. */
const FRUITLESS: ReadonlySet<SyncEnd> = new Set(['level', 'left', 'unusable', 'inactive']);

export class SyncManager implements SyncStatus {
  private readonly deps: SyncManagerDependencies;
  private readonly options: SyncManagerOptions;
  private readonly counters: SyncCounters;
  private readonly misses = new SyncMisses();
  private readonly rate = new TriggerRate();
  /** Unix ms at which a connected peer was first chosen. */
  private readonly chosenAtMs = new Map<PeerId, number>();
  private session: SyncSession | undefined;
  private previousPeer: PeerId | undefined;
  private state: FsmState | undefined;
  private ownHeight = 0;
  private startedMs = 0;
  private lastLookMs: number | undefined;
  private isAwaitingPeers: boolean;
  private isPeerAhead = false;
  private wasFailing = false;
  private nextLookMs = LOOK_LEVEL_MS;
  private loop: Repeating | undefined;
  private isStopped = false;
  private unsubscribe: (() => void) | undefined;

  constructor(deps: SyncManagerDependencies, options: SyncManagerOptions) {
    this.deps = deps;
    this.options = options;
    this.isAwaitingPeers = options.forcedPeer === undefined;
    this.counters = syncMetrics(deps.metrics, {
      state: () => (this.session === undefined ? 'none' : this.session.isCatchingUp ? 'catching_up' : 'chosen'),
      blocksBehind: () => Math.max(0, (this.session?.peer.height ?? 0) - this.ownHeight),
      failedPeers: () => this.misses.failedPeers,
      stalledPeers: () => this.misses.stalledPeers,
      connectionTimes: () => this.chosenAtMs.size,
    });
  }

  /** Begins to look; once. Does not wait for anything. */
  start(): void {
    if (this.loop !== undefined || this.isStopped) return;
    this.startedMs = this.deps.clock.monotonic();
    this.unsubscribe = this.deps.chain.subscribe((news) => this.receive(news));
    this.loop = repeating(
      (signal) => this.look(signal),
      { firstMs: 0, nextMs: () => this.nextLookMs },
      (error) => this.lookFailed(error),
    );
  }

  /** May be called twice; a look in hand does nothing more. */
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
   * A version or verack came and stands in the registry; whether its author is ahead is found out here. Looks at once, and awaits nobody:
   * without bootstrap nodes there may be no more peers to come. With them nothing happens.
   */
  peerAhead(peerId: PeerId): void {
    if (this.options.hasBootstrap || this.session !== undefined || this.isPeerAhead) return;
    const row = this.candidates().find((each) => each.peerId === peerId);
    const at = { ownHeight: this.ownHeight, nowMs: this.deps.clock.monotonic() };
    if (row === undefined || !fitnessOf(row, at).isFit) return;
    this.isPeerAhead = true;
    this.loop?.wake();
  }

  /** The peer's last connection is gone. */
  peerLeft(peerId: PeerId): void {
    this.chosenAtMs.delete(peerId);
    if (this.session?.peer.peerId !== peerId) return;
    this.end('left');
    this.loop?.wake();
  }

  private async look(signal: AbortSignal): Promise<void> {
    const { chain, clock } = this.deps;
    const sinceMs = clock.monotonic() - (this.lastLookMs ?? Number.NEGATIVE_INFINITY);
    this.nextLookMs = LEAST_GAP_MS - sinceMs;
    if (this.nextLookMs > 0) return;
    this.lastLookMs = clock.monotonic();
    this.nextLookMs = LOOK_LEVEL_MS;
    const state = await chain.recentFsmState();
    if (signal.aborted) return;
    this.sawState(state);
    const back = this.session?.isBack === true ? this.session : undefined;
    // Whoever failed to bring us up is charged for it, so the height is then asked for anew.
    const best = state === 'IDLE' ? undefined : await chain.recentBestHeader(back === undefined ? LEAST_GAP_MS : 0);
    if (signal.aborted) return;
    this.wasFailing = false;
    this.decide(this.state ?? state, best?.height, back);
  }

  /** Without waiting, so that nothing changes underneath. `back` was back at RUNNING before the height was read. */
  private decide(state: FsmState, ownHeight: number | undefined, back: SyncSession | undefined): void {
    if (state === 'IDLE' || ownHeight === undefined) {
      if (state === 'IDLE' && this.session !== undefined) this.end('idle');
      return;
    }
    if (ownHeight > this.ownHeight) this.misses.grew();
    this.ownHeight = ownHeight;
    this.judge(state, back !== undefined && back === this.session);
    if (this.session === undefined) this.choose(state);
    this.pull(state);
    if (this.session !== undefined) this.nextLookMs = state === 'RUNNING' ? LOOK_BEHIND_MS : EVALUATE_MS;
  }

  private judge(state: FsmState, wasBack: boolean): void {
    const { session, ownHeight } = this;
    if (session === undefined) return;
    const nowMs = this.deps.clock.monotonic();
    const { peerId } = session.peer;
    const candidates = this.candidates();
    const row = candidates.find((each) => each.peerId === peerId);
    const end = session.judge({
      state,
      ownHeight,
      fitness: row && fitnessOf(row, { ownHeight, nowMs }),
      messageAgeMs: this.deps.clock.now() - (row?.lastMessageMs ?? 0),
      wasBack,
      isUntriedAtHand: this.isUntriedAmong(candidates, peerId, nowMs),
      nowMs,
    });
    if (end !== undefined) this.end(end);
  }

  private isUntriedAmong(candidates: readonly SyncCandidate[], besides: PeerId, nowMs: number): boolean {
    const { ownHeight } = this;
    return (
      this.options.forcedPeer === undefined &&
      candidates.some(
        (each) => each.peerId !== besides && each.misses.count === 0 && fitnessOf(each, { ownHeight, nowMs }).isFit,
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
      if (choice.outcome === 'nobody' && BEHIND.has(choice.why)) this.nextLookMs = LOOK_BEHIND_MS;
      if (isWaiting) this.nextLookMs = Math.min(LOOK_BEHIND_MS, this.startedMs + this.options.maxWaitMs - nowMs);
      return;
    }
    this.isAwaitingPeers = false;
    this.counters.choices.add(1, { outcome: 'chosen' });
    this.session = new SyncSession(choice.peer, { state, ownHeight, nowMs, sinceMs: this.connectionTime(choice.peer) });
    const { peerId, height, hash, score } = choice.peer;
    log.info({ peerId, height, hash, score, ownHeight, state }, 'sync peer chosen');
  }

  /** At most `maxWaitMs` from the start, and never again once there were enough. */
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
    const oldest = this.chosenAtMs.keys().next();
    if (this.chosenAtMs.size > MAX_CONNECTION_TIMES && !oldest.done) this.chosenAtMs.delete(oldest.value);
    return sinceMs;
  }

  /** Tells block validation to fetch the sync peer's best block, when that is due. */
  private pull(state: FsmState): void {
    const { session } = this;
    const nowMs = this.deps.clock.monotonic();
    if (session?.isTriggerDue(state, nowMs) !== true) return;
    const isAllowed = this.rate.take(nowMs);
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

  /** True when it is another than before. */
  private sawState(state: FsmState): boolean {
    const isNew = state !== this.state;
    this.state = state;
    this.session?.sawState(state, this.deps.clock.monotonic());
    return isNew;
  }

  /** Our own block validation gave up on a peer. One that is not the sync peer rests too, unless that was what it ended for. */
  private peerFailed({ peerId, failureType, reason }: { peerId: string; failureType: string; reason: string }): void {
    const told = { peerId, failureType, reason: reason.slice(0, MAX_REASON_CHARS) };
    this.deps.log.info(told, 'peer failure reported by block validation');
    if (this.session?.peer.peerId === peerId) {
      this.end('failed');
      this.loop?.wake();
      return;
    }
    const nowMs = this.deps.clock.monotonic();
    if (!this.misses.isAtFault(peerId, nowMs)) this.misses.failed(peerId, nowMs);
  }

  private end(reason: SyncEnd): void {
    const { session } = this;
    if (session === undefined) return;
    const { peerId, height } = session.peer;
    this.session = undefined;
    this.previousPeer = peerId;
    this.counters.ends.add(1, { reason });
    this.noteMiss(session, reason);
    const misses = this.misses.of(peerId, this.deps.clock.monotonic()).count;
    this.deps.log.info({ peerId, height, ownHeight: this.ownHeight, reason, misses }, 'sync peer given up');
    if (reason === 'failed') this.deps.chargeFailure(peerId);
  }

  private noteMiss(session: SyncSession, reason: SyncEnd): void {
    const { peerId } = session.peer;
    const nowMs = this.deps.clock.monotonic();
    if (session.hasDelivered) this.misses.delivered(peerId);
    if (reason === 'failed') this.misses.failed(peerId, nowMs);
    else if (reason === 'stalled') this.misses.stalled(peerId, nowMs);
    else if (FRUITLESS.has(reason) && !session.hasProgressed) this.misses.fruitless(peerId, nowMs);
  }

  private candidates(): SyncCandidate[] {
    const nowMs = this.deps.clock.monotonic();
    return this.deps.candidates().map((row) => ({ ...row, misses: this.misses.of(row.peerId, nowMs) }));
  }

  /** The first of several in a row is for an operator to see. */
  private lookFailed(error: unknown): void {
    this.counters.failedLooks.add();
    this.deps.log[this.wasFailing ? 'debug' : 'warn']({ err: error }, 'sync not looked at');
    this.wasFailing = true;
  }
}
