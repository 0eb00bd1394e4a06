// The rules of wire.md: a peer's claim is believed until an attempt fails, and a failed catch-up costs the peer points.
import type { PeerId } from '../domain/ids.ts';
import type { FsmState } from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import { fitnessOf, type SyncCandidate, type SyncPeerRow, weighedChoice } from './choose-sync-peer.ts';
import type { Fitness, SyncRound } from './evaluation.ts';
import { FailedAttempts, MAX_PEERS } from './failed-attempts.ts';
import type { SyncEnd, SyncMemory, SyncPolicy, WeighedChoice } from './sync-policy.ts';
import type { SessionTimes, SyncSession } from './sync-session.ts';

export interface ClaimsPolicyDependencies {
  /** The connected peers. Cheap; called in each round of the evaluation. */
  candidates(): readonly SyncPeerRow[];
  /** Adds `catch_up_failure` to the peer's score. */
  penalizeFailure(peerId: PeerId): void;
  readonly clock: Clock;
  /** [0, 1). */
  readonly random: () => number;
}

export interface ClaimsPolicyOptions {
  /** `p2p_force_sync_peer`. */
  readonly forcedPeer: PeerId | undefined;
}

/** As in Go (wire.md, "Sync, Go's times"). */
const CATCH_UP_INTERVAL_MS = 30_000;
/** As in Go: inactive after five minutes of syncing, the last of them without a message. */
const INACTIVE_AFTER_MS = 5 * 60_000;
const SILENCE_MS = 60_000;
/**
 * At RUNNING our chain should grow within Go's five minutes of the trigger, and be level within six times that. A peer
 * that is also silent, which no Teranode is for a minute, is given up sooner when there are other peers.
 */
const NO_PROGRESS_AFTER_MS = 5 * 60_000;
const NEVER_LEVEL_AFTER_MS = 30 * 60_000;
const ACTIVE_STATES: ReadonlySet<FsmState> = new Set(['RUNNING', 'CATCHINGBLOCKS', 'LEGACYSYNCING']);
/** Ends that count as a failed attempt when our chain did not grow meanwhile. */
const EARLY_ENDS: ReadonlySet<SyncEnd> = new Set(['level', 'left', 'unusable', 'inactive']);

export class ClaimsPolicy implements SyncPolicy {
  readonly activeStates = ACTIVE_STATES;
  readonly catchUpIntervalMs = CATCH_UP_INTERVAL_MS;
  readonly needsConnection = true;
  readonly memories: readonly SyncMemory[];
  private readonly deps: ClaimsPolicyDependencies;
  private readonly options: ClaimsPolicyOptions;
  private readonly attempts = new FailedAttempts();
  private previousPeer: PeerId | undefined;
  private ownHeight = 0;

  constructor(deps: ClaimsPolicyDependencies, options: ClaimsPolicyOptions) {
    this.deps = deps;
    this.options = options;
    this.memories = [
      { kind: 'failed_peers', size: () => this.attempts.catchUpPeers, bound: MAX_PEERS },
      { kind: 'stalled_peers', size: () => this.attempts.noProgressPeers, bound: MAX_PEERS },
    ];
  }

  roundBegan({ ownHeight }: SyncRound): void {
    if (ownHeight > this.ownHeight) this.attempts.chainGrew();
    this.ownHeight = ownHeight;
  }

  isFit(peerId: PeerId, round: SyncRound): boolean {
    const row = this.candidates(round).find((each) => each.peerId === peerId);
    return row !== undefined && fitnessOf(row, round).isFit;
  }

  endOf(session: SyncSession, round: SyncRound): SyncEnd | undefined {
    if (session.sawHeight(round) === 'short') return 'failed';
    const { peerId } = session.peer;
    const candidates = this.candidates(round);
    const row = candidates.find((each) => each.peerId === peerId);
    const fitness = row && fitnessOf(row, round);
    if (fitness?.isFit !== true) return endOfUnfit(fitness);
    session.peer = fitness.peer;
    return endByClaims(session.times, {
      ...round,
      messageAgeMs: this.deps.clock.now() - (row?.lastMessageMs ?? 0),
      hasUntriedAlternative: this.hasUntried(candidates, peerId, round),
    });
  }

  choose(round: SyncRound): WeighedChoice {
    const { forcedPeer } = this.options;
    const { previousPeer } = this;
    return weighedChoice({ ...round, candidates: this.candidates(round), forcedPeer, previousPeer }, this.deps.random);
  }

  chosen(): void {}

  triggered(): void {}

  ended(session: SyncSession, reason: SyncEnd): number {
    const { peerId } = session.peer;
    const nowMs = this.deps.clock.monotonic();
    this.previousPeer = peerId;
    if (session.hasDelivered) this.attempts.delivered(peerId);
    if (reason === 'failed') this.attempts.catchUpFailed(peerId, nowMs);
    else if (reason === 'stalled') this.attempts.madeNoProgress(peerId, nowMs);
    else if (EARLY_ENDS.has(reason) && !session.hasProgressed) this.attempts.endedEarly(peerId, nowMs);
    if (reason === 'failed') this.deps.penalizeFailure(peerId);
    return this.attempts.of(peerId, nowMs).failed;
  }

  /** The peer gets a cool-down, unless its attempt ended for this very failure. */
  failureReported(peerId: PeerId): void {
    const nowMs = this.deps.clock.monotonic();
    if (!this.attempts.isAtFault(peerId, nowMs)) this.attempts.catchUpFailed(peerId, nowMs);
  }

  private hasUntried(candidates: readonly SyncCandidate[], besides: PeerId, round: SyncRound): boolean {
    return (
      this.options.forcedPeer === undefined &&
      candidates.some((each) => each.peerId !== besides && each.attempts.failed === 0 && fitnessOf(each, round).isFit)
    );
  }

  private candidates({ nowMs }: SyncRound): SyncCandidate[] {
    return this.deps.candidates().map((row) => ({ ...row, attempts: this.attempts.of(row.peerId, nowMs) }));
  }
}

/** Why the attempt with a peer that no longer qualifies is over; undefined stands for a peer that is not known. */
export function endOfUnfit(fitness: Extract<Fitness, { isFit: false }> | undefined): SyncEnd {
  if (fitness === undefined || fitness.why === 'not_connected') return 'left';
  if (fitness.why === 'not_ahead') return 'level';
  return fitness.why === 'banned' ? 'banned' : 'unusable';
}

/** What one round of the evaluation found about a sync peer that qualifies. */
export interface ClaimsObservation extends Pick<SyncRound, 'state' | 'nowMs'> {
  /** Time since the peer's last message. */
  readonly messageAgeMs: number;
  /** Another peer qualifies that has no failed attempts. */
  readonly hasUntriedAlternative: boolean;
}

/** Why the attempt is over although the peer qualifies; undefined while it continues. */
export function endByClaims(times: SessionTimes, seen: ClaimsObservation): 'stalled' | 'inactive' | undefined {
  if (seen.state === 'RUNNING') return hasNoProgress(times, seen) ? 'stalled' : undefined;
  return isInactive(times, seen) ? 'inactive' : undefined;
}

function isInactive({ chosenMs, progressedMs }: SessionTimes, { messageAgeMs, nowMs }: ClaimsObservation): boolean {
  const silentMs = Math.min(messageAgeMs, nowMs - progressedMs);
  return nowMs - chosenMs >= INACTIVE_AFTER_MS && silentMs >= SILENCE_MS;
}

function hasNoProgress(
  { runningSinceMs, firstTriggerMs, progressedMs }: SessionTimes,
  seen: ClaimsObservation,
): boolean {
  if (firstTriggerMs === undefined || runningSinceMs === undefined) return false;
  const { nowMs, messageAgeMs, hasUntriedAlternative } = seen;
  const stillMs = nowMs - Math.max(runningSinceMs, firstTriggerMs, progressedMs);
  if (stillMs >= NO_PROGRESS_AFTER_MS || nowMs - runningSinceMs >= NEVER_LEVEL_AFTER_MS) return true;
  return hasUntriedAlternative && Math.min(stillMs, messageAgeMs) >= SILENCE_MS;
}
