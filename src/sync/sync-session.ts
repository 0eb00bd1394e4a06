// One attempt to sync from a peer, from its choice to its end: what was requested, what the FSM did since, and whether
// there is progress. By it policies decide whether a catch-up failed, so it counts only what happened after its own
// trigger: no peer is penalized for a catch-up that had begun before.

import type { BlockHash } from '../domain/ids.ts';
import type { FsmState } from '../ports/blockchain-client.ts';
import type { FitPeer, SyncRound } from './evaluation.ts';

/** Between two triggers of the same attempt; a block's time on a fast test network. */
const TRIGGER_AGAIN_MS = 10_000;

/**
 * `not_ours`: a catch-up under way, if any, began before our trigger. `triggered`: the next catch-up is ours.
 * `catching_up`: ours is under way. `returned`: the FSM is back at RUNNING, and the result has not been checked yet.
 */
type Phase = 'not_ours' | 'triggered' | 'catching_up' | 'returned';

/** Monotonic. */
export interface SessionTimes {
  readonly chosenMs: number;
  /** When our chain last grew; `chosenMs` while it has not. */
  readonly progressedMs: number;
  /** Since when the FSM has been RUNNING without a break; undefined while it is not. */
  readonly runningSinceMs: number | undefined;
  /** undefined before the first trigger. */
  readonly firstTriggerMs: number | undefined;
}

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

  get times(): SessionTimes {
    const { chosenMs, progressedMs, runningSinceMs, firstTriggerMs } = this;
    return { chosenMs, progressedMs, runningSinceMs, firstTriggerMs };
  }

  /** An FSM state, by notification or by asking; the same one may come twice. */
  sawState(state: FsmState, nowMs: number): void {
    this.runningSinceMs = state === 'RUNNING' ? (this.runningSinceMs ?? nowMs) : undefined;
    if (this.trigger === undefined) return;
    if (state === 'CATCHINGBLOCKS' && this.phase === 'triggered') this.phase = 'catching_up';
    if (state === 'RUNNING' && this.phase === 'catching_up') this.phase = 'returned';
    if (state === 'RUNNING' && this.phase === 'not_ours') this.phase = 'triggered';
  }

  /** Our height, as one round of the evaluation found it. `short`: see `SyncEnd`. */
  sawHeight({ ownHeight, hadReturned, nowMs }: SyncRound): 'short' | undefined {
    if (hadReturned && this.target !== undefined && ownHeight < this.target) return 'short';
    if (hadReturned && this.phase === 'returned') this.phase = 'triggered';
    this.noteHeight(ownHeight, nowMs);
    return undefined;
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
}
