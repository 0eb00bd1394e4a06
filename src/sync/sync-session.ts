// One attempt to sync from a peer, from its choice to its end: what was requested, what the FSM did since, and whether
// there is progress. It decides whether a catch-up failed, so it counts only what happened after its own trigger: no
// peer is penalized for a catch-up that had begun before.

import type { BlockHash } from '../domain/ids.ts';
import type { FsmState } from '../ports/blockchain-client.ts';
import type { Fitness, FitPeer } from './choose-sync-peer.ts';

/** Why the attempt ended. `failed` is penalized. */
export type SyncEnd = 'level' | 'left' | 'banned' | 'unusable' | 'failed' | 'inactive' | 'stalled' | 'idle';

/** What one round of the evaluation found. */
export interface SyncObservation {
  readonly state: FsmState;
  readonly ownHeight: number;
  /** undefined: the peer is no longer known. */
  readonly fitness: Fitness | undefined;
  /** Time since the peer's last message. */
  readonly messageAgeMs: number;
  /** The FSM had returned to RUNNING before `ownHeight` was read. */
  readonly hadReturned: boolean;
  /** Another peer qualifies that has no failed attempts. */
  readonly hasUntriedAlternative: boolean;
  readonly nowMs: number;
}

/** As in Go: inactive after five minutes of syncing, the last of them without a message. */
const INACTIVE_AFTER_MS = 5 * 60_000;
const SILENCE_MS = 60_000;
/**
 * At RUNNING our chain should grow within Go's five minutes of the trigger, and be level within six times that. A peer
 * that is also silent, which no Teranode is for a minute, is given up sooner when there are other peers.
 */
const NO_PROGRESS_AFTER_MS = 5 * 60_000;
const NEVER_LEVEL_AFTER_MS = 30 * 60_000;
/** Between two triggers of the same attempt; a block's time on a fast test network. */
const TRIGGER_AGAIN_MS = 10_000;

/**
 * `not_ours`: a catch-up under way, if any, began before our trigger. `triggered`: the next catch-up is ours.
 * `catching_up`: ours is under way. `returned`: the FSM is back at RUNNING, and the result has not been checked yet.
 */
type Phase = 'not_ours' | 'triggered' | 'catching_up' | 'returned';

export class SyncSession {
  /** As last seen. */
  peer: FitPeer;
  /** Unix ms. */
  readonly sinceMs: number;
  private readonly chosenMs: number;
  private readonly firstHeight: number;
  private phase: Phase = 'not_ours';
  private runningSinceMs: number | undefined;
  private progressedMs: number;
  private ownHeight: number;
  private firstTriggerMs: number | undefined;
  private trigger: { hash: BlockHash; height: number; atMs: number; wasRunning: boolean } | undefined;
  /**
   * The lowest height that was requested and not reached: of several triggers under way, block validation works at the
   * first.
   */
  private target: number | undefined;
  private delivered = false;

  constructor(
    peer: FitPeer,
    at: { readonly state: FsmState; readonly ownHeight: number; readonly nowMs: number; readonly sinceMs: number },
  ) {
    this.peer = peer;
    this.sinceMs = at.sinceMs;
    this.chosenMs = at.nowMs;
    this.progressedMs = at.nowMs;
    this.firstHeight = at.ownHeight;
    this.ownHeight = at.ownHeight;
    this.runningSinceMs = at.state === 'RUNNING' ? at.nowMs : undefined;
  }

  get isCatchingUp(): boolean {
    return this.phase === 'catching_up';
  }

  /** The FSM is back at RUNNING from our catch-up, and the result has not been checked yet. */
  get hasReturned(): boolean {
    return this.phase === 'returned';
  }

  /** Our chain has grown since the choice. */
  get hasProgressed(): boolean {
    return this.ownHeight > this.firstHeight;
  }

  /** Our chain has reached a requested height. */
  get hasDelivered(): boolean {
    return this.delivered;
  }

  /** An FSM state, by notification or by asking; the same one may come twice. */
  sawState(state: FsmState, nowMs: number): void {
    this.runningSinceMs = state === 'RUNNING' ? (this.runningSinceMs ?? nowMs) : undefined;
    if (this.trigger === undefined) return;
    if (state === 'CATCHINGBLOCKS' && this.phase === 'triggered') this.phase = 'catching_up';
    if (state === 'RUNNING' && this.phase === 'catching_up') this.phase = 'returned';
    if (state === 'RUNNING' && this.phase === 'not_ours') this.phase = 'triggered';
  }

  /** Why the attempt is over; undefined while it continues. */
  assess(seen: SyncObservation): SyncEnd | undefined {
    if (seen.hadReturned && this.target !== undefined && seen.ownHeight < this.target) return 'failed';
    if (seen.hadReturned && this.phase === 'returned') this.phase = 'triggered';
    this.noteHeight(seen.ownHeight, seen.nowMs);
    const { fitness } = seen;
    if (fitness === undefined) return 'left';
    if (!fitness.isFit) {
      if (fitness.why === 'not_ahead') return 'level';
      if (fitness.why === 'not_connected') return 'left';
      return fitness.why === 'banned' ? 'banned' : 'unusable';
    }
    this.peer = fitness.peer;
    if (seen.state === 'RUNNING') return this.hasNoProgress(seen) ? 'stalled' : undefined;
    return this.isInactive(seen) ? 'inactive' : undefined;
  }

  /**
   * Once after the choice; at RUNNING again when the peer's best block has changed, or when the first trigger may have
   * been lost in another peer's catch-up.
   */
  isTriggerDue(state: FsmState, nowMs: number): boolean {
    if (this.trigger === undefined) return true;
    if (state !== 'RUNNING' || nowMs - this.trigger.atMs < TRIGGER_AGAIN_MS) return false;
    return this.trigger.hash !== this.peer.hash || !this.trigger.wasRunning;
  }

  triggered(state: FsmState, nowMs: number): void {
    const { hash, height } = this.peer;
    const wasRunning = state === 'RUNNING';
    this.trigger = { hash, height, atMs: nowMs, wasRunning };
    this.firstTriggerMs ??= nowMs;
    this.target = Math.min(this.target ?? height, height);
    if (wasRunning && this.phase === 'not_ours') this.phase = 'triggered';
  }

  private noteHeight(ownHeight: number, nowMs: number): void {
    if (ownHeight > this.ownHeight) this.progressedMs = nowMs;
    this.ownHeight = ownHeight;
    if (this.target === undefined || ownHeight < this.target) return;
    this.delivered = true;
    this.target = this.trigger !== undefined && this.trigger.height > ownHeight ? this.trigger.height : undefined;
  }

  private isInactive({ messageAgeMs, nowMs }: SyncObservation): boolean {
    const silentMs = Math.min(messageAgeMs, nowMs - this.progressedMs);
    return nowMs - this.chosenMs >= INACTIVE_AFTER_MS && silentMs >= SILENCE_MS;
  }

  private hasNoProgress({ nowMs, messageAgeMs, hasUntriedAlternative }: SyncObservation): boolean {
    const { runningSinceMs, firstTriggerMs } = this;
    if (firstTriggerMs === undefined || runningSinceMs === undefined) return false;
    const stillMs = nowMs - Math.max(runningSinceMs, firstTriggerMs, this.progressedMs);
    if (stillMs >= NO_PROGRESS_AFTER_MS || nowMs - runningSinceMs >= NEVER_LEVEL_AFTER_MS) return true;
    return hasUntriedAlternative && Math.min(stillMs, messageAgeMs) >= SILENCE_MS;
  }
}
