// The rules of today.md: a sync peer is chosen by the work that our own validation confirmed. What happens with it is
// recorded in its history, from which its reputation follows; it costs no points of the ban score.
import type { PeerId } from '../domain/ids.ts';
import type { PeerEvent } from '../domain/peer-history.ts';
import { BAD_REPUTATION } from '../peers/histories/reputation.ts';
import type { FsmState } from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { PeerHistories } from '../ports/peer-histories.ts';
import {
  chooseByWork,
  fitPeer,
  isAhead,
  reputationOf,
  validatedWorkOf,
  type WorkCandidate,
  type WorkPeerRow,
  type WorkView,
  workFitnessOf,
} from './choose-by-work.ts';
import { endByWork, type WorkObservation } from './end-by-work.ts';
import type { SyncRound } from './evaluation.ts';
import { FailedAttempts, MAX_PEERS } from './failed-attempts.ts';
import { ProbeWindow } from './probe-window.ts';
import type { SyncEnd, SyncMemory, SyncPolicy, WeighedChoice } from './sync-policy.ts';
import type { SyncSession } from './sync-session.ts';
import { MAX_TRIED, TriedPeers } from './tried-peers.ts';
import { weighedByWork } from './weighed-by-work.ts';
import { WorkCourse } from './work-course.ts';

export interface WorkPolicyDependencies {
  /** All known peers, connected or not. Cheap; called in each round of the evaluation. */
  candidates(): readonly WorkPeerRow[];
  readonly histories: Pick<PeerHistories, 'record' | 'reconsider' | 'clearSyncAttempts'>;
  readonly clock: Clock;
  /** [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

export interface WorkPolicyOptions {
  /** `p2p_force_sync_peer`. */
  readonly forcedPeer: PeerId | undefined;
  /** `p2p_allow_pruned_node_fallback`. */
  readonly allowsPruned: boolean;
  /** `p2p_max_unproven_sync_probes_per_backoff_window`. */
  readonly maxProbes: number;
  /** `p2p_sync_coordinator_periodic_evaluation_interval`. */
  readonly evaluationMs: number;
  /** `p2p_sync_peer_no_progress_timeout`. */
  readonly noProgressMs: number;
  /** `p2p_full_delivery_freshness_window`. */
  readonly deliveryFreshMs: number;
}

const ACTIVE_STATES: ReadonlySet<FsmState> = new Set(['RUNNING', 'CATCHINGBLOCKS']);
const LOOK_INTERVAL_MS = 2000;
/** How long a choice waits for checks of DataHubs; each takes two seconds at most. */
const MAX_CHECK_WAIT_MS = 10_000;
/** Ends after which the peer may be kept. `left`: it was not heard for so long that the registry has forgotten it. */
const GOOD_ENDS: ReadonlySet<SyncEnd> = new Set(['level', 'idle', 'left']);

export class WorkPolicy implements SyncPolicy {
  readonly activeStates = ACTIVE_STATES;
  readonly catchUpIntervalMs = LOOK_INTERVAL_MS;
  /** Blocks come from the peer's DataHub. */
  readonly needsConnection = false;
  readonly memories: readonly SyncMemory[];
  private readonly deps: WorkPolicyDependencies;
  private readonly options: WorkPolicyOptions;
  private readonly attempts = new FailedAttempts();
  private readonly tried = new TriedPeers();
  private readonly window: ProbeWindow;
  private previous: { readonly peerId: PeerId; readonly hasFailed: boolean } | undefined;
  private course: WorkCourse | undefined;
  private awaitingSinceMs: number | undefined;
  private urls: readonly string[] = [];
  private wasFailing = false;

  constructor(deps: WorkPolicyDependencies, options: WorkPolicyOptions) {
    this.deps = deps;
    this.options = options;
    this.window = new ProbeWindow(options.maxProbes);
    this.memories = [
      { kind: 'failed_peers', size: () => this.attempts.catchUpPeers, bound: MAX_PEERS },
      { kind: 'stalled_peers', size: () => this.attempts.noProgressPeers, bound: MAX_PEERS },
      { kind: 'tried_peers', size: () => this.tried.size, bound: MAX_TRIED },
    ];
  }

  /** DataHubs whose check the choice is waiting for; bounded. */
  urlsToCheck(): readonly string[] {
    return this.urls;
  }

  roundBegan({ ownWork }: SyncRound): void {
    this.window.sawWork(ownWork);
  }

  isFit(peerId: PeerId, round: SyncRound): boolean {
    const row = this.candidates(round.nowMs).find((each) => each.peerId === peerId);
    return row !== undefined && workFitnessOf(row, this.view(round)).isFit;
  }

  endOf(session: SyncSession, round: SyncRound): SyncEnd | undefined {
    const { peerId } = session.peer;
    const isItsCatchUp = session.isCatchingUp || round.hadReturned;
    const hasFallenShort = session.sawHeight(round) === 'short';
    const view = this.view(round);
    const candidates = this.candidates(round.nowMs);
    const row = candidates.find((each) => each.peerId === peerId);
    if (row === undefined) return hasFallenShort ? 'short' : 'left';
    const isForced = peerId === this.options.forcedPeer;
    const standing = standingOf(row, view, isForced);
    if (standing === 'ahead') session.peer = fitPeer(row, view);
    this.course ??= new WorkCourse(row.history, round);
    const { course } = this;
    course.saw(row.history, isItsCatchUp, round);
    return endByWork(
      {
        standing,
        hasFallenShort,
        isEvaluation: course.isEvaluation(round.nowMs, this.options.evaluationMs),
        isForced,
        reputation: reputationOf(row),
        stillMs: course.stillMs(round.nowMs),
        hasBetter: candidates.some((each) => isBetter(each, row, view)),
      },
      { ...this.options, minReputation: BAD_REPUTATION },
    );
  }

  choose(round: SyncRound): WeighedChoice {
    const { nowMs } = round;
    this.urls = [];
    if (this.window.isWaiting(nowMs)) return { outcome: 'nobody', why: 'backing_off', weighed: undefined };
    const snapshot = {
      ...this.view(round),
      candidates: this.candidates(nowMs),
      forcedPeer: this.options.forcedPeer,
      previous: this.previous,
      probesLeft: this.window.probesLeft,
      awaitsChecks: nowMs - (this.awaitingSinceMs ?? nowMs) < MAX_CHECK_WAIT_MS,
      allowsPruned: this.options.allowsPruned,
    };
    const choice = chooseByWork(snapshot, this.deps.random);
    const weighed = weighedByWork(snapshot, choice.outcome === 'chosen' ? choice.peer.peerId : undefined);
    if (choice.outcome === 'nobody' && choice.why === 'awaiting_check') {
      this.urls = choice.urls;
      this.awaitingSinceMs ??= nowMs;
      return { ...choice, weighed };
    }
    this.awaitingSinceMs = undefined;
    if (choice.outcome === 'nobody' && choice.why === 'level') this.window.reset();
    if (choice.outcome === 'nobody' && choice.why === 'none_usable') this.backOff(nowMs);
    return { ...choice, weighed };
  }

  chosen(session: SyncSession, round: SyncRound): void {
    const { peerId, isProbe } = session.peer;
    if (isProbe) this.window.probe();
    const row = this.deps.candidates().find((each) => each.peerId === peerId);
    this.course = new WorkCourse(row?.history, round);
  }

  triggered(peerId: PeerId): void {
    this.tried.tried(peerId, this.deps.clock.now());
    this.record(peerId, { type: 'sync_attempt' });
  }

  ended(session: SyncSession, reason: SyncEnd): number {
    const { peerId } = session.peer;
    const nowMs = this.deps.clock.monotonic();
    const hasFailed = !GOOD_ENDS.has(reason);
    this.previous = { peerId, hasFailed };
    this.course = undefined;
    if (session.hasDelivered) this.attempts.delivered(peerId);
    if (reason === 'level' && session.hasProgressed) this.window.reset();
    if (reason === 'failed') this.failed(peerId, nowMs);
    else if (hasFailed && !session.hasDelivered) this.attempts.endedEarly(peerId, nowMs);
    if (hasFailed) this.tried.tried(peerId, this.deps.clock.now());
    return this.attempts.of(peerId, nowMs).failed;
  }

  /** Nothing happens when the attempt with the peer ended for this very failure. */
  failureReported(peerId: PeerId): void {
    const nowMs = this.deps.clock.monotonic();
    if (!this.attempts.isAtFault(peerId, nowMs)) this.failed(peerId, nowMs);
  }

  private failed(peerId: PeerId, nowMs: number): void {
    this.attempts.catchUpFailed(peerId, nowMs);
    this.record(peerId, { type: 'failure' });
  }

  /** All peers may be tried again afterwards, also those of low reputation that have not failed lately. */
  private backOff(nowMs: number): void {
    const { histories, log } = this.deps;
    this.window.wait(nowMs);
    this.tried.clear(this.deps.clock.now());
    this.attend(histories.clearSyncAttempts());
    const reconsidered = histories.reconsider(this.window.reconsiderMs).then((peers) => {
      if (peers === 0) return;
      log.info({ peers }, 'peers of low reputation reconsidered');
      this.window.reset();
    });
    this.attend(reconsidered);
  }

  private record(peerId: PeerId, event: PeerEvent): void {
    this.attend(this.deps.histories.record(peerId, event));
  }

  /** Only the first of several failures in a row is a warning. */
  private attend(work: Promise<unknown>): void {
    work.then(
      () => {
        this.wasFailing = false;
      },
      (error: unknown) => {
        this.deps.log[this.wasFailing ? 'debug' : 'warn']({ err: error }, 'failed to update the history of a peer');
        this.wasFailing = true;
      },
    );
  }

  private candidates(nowMs: number): WorkCandidate[] {
    return this.deps.candidates().map((row) => ({
      ...row,
      failedAttempts: this.attempts.of(row.peerId, nowMs).failed,
      triedMs: this.tried.lastOf(row.peerId, row.history?.lastSyncAttemptMs),
    }));
  }

  private view({ ownHeight, ownWork }: SyncRound): WorkView {
    return { ownHeight, ownWork, nowMs: this.deps.clock.now(), deliveryFreshMs: this.options.deliveryFreshMs };
  }
}

/** Whether the peer is banned does not count for `p2p_force_sync_peer`. */
function standingOf(row: WorkCandidate, view: WorkView, isForced: boolean): WorkObservation['standing'] {
  if (row.isBanned && !isForced) return 'banned';
  if (!row.dataHubUrl) return 'no_datahub';
  return isAhead(row, view) ? 'ahead' : 'level';
}

/** Whether the other peer could be chosen and has strictly more validated work than the sync peer and than we have. */
function isBetter(other: WorkCandidate, peer: WorkCandidate, view: WorkView): boolean {
  const work = validatedWorkOf(other, view);
  const isMore = view.ownWork !== undefined && work > view.ownWork && work > validatedWorkOf(peer, view);
  return (
    other.peerId !== peer.peerId && isMore && other.dataHubHealth === 'healthy' && workFitnessOf(other, view).isFit
  );
}
