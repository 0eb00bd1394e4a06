// One choice of a sync peer, from the choice to its end: what was asked for, what the state machine did since, and whether it gets on.
// It decides when a catch-up has failed, so it counts only what happened after its own trigger: nobody pays for a catch-up begun before.

import type { BlockHash } from '../domain/ids.ts';
import type { FsmState } from '../ports/blockchain-client.ts';
import type { Fitness, FitPeer } from './choose-sync-peer.ts';

/** Why a sync peer is no longer one; `failed` is charged. */
export type SyncEnd = 'level' | 'left' | 'banned' | 'unusable' | 'failed' | 'inactive' | 'stalled' | 'idle';

/** What is seen at one look. */
export interface SyncSighting {
  readonly state: FsmState;
  readonly ownHeight: number;
  /** undefined: the peer is no longer known. */
  readonly fitness: Fitness | undefined;
  /** Since the peer's last message. */
  readonly messageAgeMs: number;
  /** The state machine was back at RUNNING before `ownHeight` was read. */
  readonly wasBack: boolean;
  /** Somebody else qualifies of whom nothing bad is known. */
  readonly isUntriedAtHand: boolean;
  readonly nowMs: number;
}

/** Go's times: inactive after five minutes of syncing with one of silence. */
const INACTIVE_AFTER_MS = 5 * 60_000;
const SILENCE_MS = 60_000;
/**
 * At RUNNING the trigger should have made our chain grow within Go's five minutes, and have brought us level in six times that. A peer that is silent
 * besides, which no Teranode is for a minute, is not waited for when there are others.
 */
const STALLED_AFTER_MS = 5 * 60_000;
const NEVER_LEVEL_AFTER_MS = 30 * 60_000;
/** Of the same choice; a block's time on a fast test network. */
const TRIGGER_AGAIN_MS = 10_000;

/** `unarmed`: the catch-up in hand, if any, is not ours. `armed`: triggered, or at RUNNING since. Then our catch-up, and back from it. */
type Phase = 'unarmed' | 'armed' | 'catching' | 'back';

export class SyncSession {
  /** As last seen. */
  peer: FitPeer;
  /** Unix ms. */
  readonly sinceMs: number;
  private readonly chosenMs: number;
  private readonly firstHeight: number;
  private phase: Phase = 'unarmed';
  private runningSinceMs: number | undefined;
  private progressedMs: number;
  private ownHeight: number;
  private firstTriggerMs: number | undefined;
  private trigger: { hash: BlockHash; height: number; atMs: number; wasRunning: boolean } | undefined;
  /** The lowest height asked for and not reached: several triggers may be on their way, and the first is the one that is worked at. */
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
    return this.phase === 'catching';
  }

  /** Back at RUNNING from a catch-up, and not judged yet. */
  get isBack(): boolean {
    return this.phase === 'back';
  }

  /** Our chain has grown since the choice. */
  get hasProgressed(): boolean {
    return this.ownHeight > this.firstHeight;
  }

  /** Our chain has reached what was asked for. */
  get hasDelivered(): boolean {
    return this.delivered;
  }

  /** A state of the state machine, by notification or asked for; the same one may come twice. */
  sawState(state: FsmState, nowMs: number): void {
    this.runningSinceMs = state === 'RUNNING' ? (this.runningSinceMs ?? nowMs) : undefined;
    if (this.trigger === undefined) return;
    if (state === 'CATCHINGBLOCKS' && this.phase === 'armed') this.phase = 'catching';
    if (state === 'RUNNING' && this.phase === 'catching') this.phase = 'back';
    if (state === 'RUNNING' && this.phase === 'unarmed') this.phase = 'armed';
  }

  /** Whether it is over; undefined: it goes on. */
  judge(seen: SyncSighting): SyncEnd | undefined {
    if (seen.wasBack && this.target !== undefined && seen.ownHeight < this.target) return 'failed';
    if (seen.wasBack && this.phase === 'back') this.phase = 'armed';
    this.noteHeight(seen.ownHeight, seen.nowMs);
    const { fitness } = seen;
    if (fitness === undefined) return 'left';
    if (!fitness.isFit) {
      if (fitness.why === 'not_ahead') return 'level';
      if (fitness.why === 'not_connected') return 'left';
      return fitness.why === 'banned' ? 'banned' : 'unusable';
    }
    this.peer = fitness.peer;
    if (seen.state === 'RUNNING') return this.isStalled(seen) ? 'stalled' : undefined;
    return this.isInactive(seen) ? 'inactive' : undefined;
  }

  /** Once a choice; at RUNNING again when the peer's best block moved on, or when the first may have been lost in another's catch-up. */
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
    if (wasRunning && this.phase === 'unarmed') this.phase = 'armed';
  }

  private noteHeight(ownHeight: number, nowMs: number): void {
    if (ownHeight > this.ownHeight) this.progressedMs = nowMs;
    this.ownHeight = ownHeight;
    if (this.target === undefined || ownHeight < this.target) return;
    this.delivered = true;
    this.target = this.trigger !== undefined && this.trigger.height > ownHeight ? this.trigger.height : undefined;
  }

  private isInactive({ messageAgeMs, nowMs }: SyncSighting): boolean {
    const silentMs = Math.min(messageAgeMs, nowMs - this.progressedMs);
    return nowMs - this.chosenMs >= INACTIVE_AFTER_MS && silentMs >= SILENCE_MS;
  }

  private isStalled({ nowMs, messageAgeMs, isUntriedAtHand }: SyncSighting): boolean {
    const { runningSinceMs, firstTriggerMs } = this;
    if (firstTriggerMs === undefined || runningSinceMs === undefined) return false;
    const stillMs = nowMs - Math.max(runningSinceMs, firstTriggerMs, this.progressedMs);
    const isSilent = Math.min(stillMs, messageAgeMs) >= SILENCE_MS;
    return (
      stillMs >= STALLED_AFTER_MS || nowMs - runningSinceMs >= NEVER_LEVEL_AFTER_MS || (isSilent && isUntriedAtHand)
    );
  }
}
