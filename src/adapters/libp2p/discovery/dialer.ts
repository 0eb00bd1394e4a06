// Keeps the connections that the operator asked for: static peers, persistent bootstrap addresses, and, at start, cached peers. Each
// target has its own back-off and is never given up; with `p2p_optimise_retries` what cannot work is left out until something changes. A
// connection that ends at once is as good as a failed dial: such a peer will not have us.

import type { PeerId } from '../../../domain/ids.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter } from '../../../ports/metrics.ts';

/** Why a dial failed, as far as it decides about the next one. */
export type DialOutcome = 'connected' | 'failed' | 'hopeless';

export interface DialTarget {
  /** Multiaddr, with the peer id at its end where it is known. */
  readonly address: string;
  readonly peerId: PeerId | undefined;
  /** `always`: redialled for ever. `until_connected`: until it has been reached once. `when_alone`: that, and again when no peer is left. */
  readonly keep: 'always' | 'until_connected' | 'when_alone';
}

interface TargetState extends DialTarget {
  failures: number;
  nextAtMs: number;
  reached: boolean;
  hopeless: boolean;
  dialling: boolean;
  connectedAs: PeerId | undefined;
  /** Since when it is connected without a break, whoever dialled; undefined while it is not, and when it has been since before the start. */
  connectedSinceMs: number | undefined;
}

export interface DialerDependencies {
  readonly log: Logger;
  readonly dials: Counter;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly isConnected: (peerId: PeerId) => boolean;
  readonly connectedCount: () => number;
  /** Settles within its own deadline, never throws. */
  readonly dial: (
    target: DialTarget,
    signal: AbortSignal,
  ) => Promise<{ outcome: DialOutcome; peerId?: PeerId; reason?: string }>;
}

/** What a handshake takes at its slowest, topic included: who does not want us has cut by then, and who stays longer is a peer. */
export const SETTLED_MS = 10_000;
/** First wait, doubled with each failure up to the last. */
export const FIRST_BACKOFF_MS = 500;
export const LAST_BACKOFF_MS = 30_000;
const MAX_TARGETS = 1000;
/**
 * Dials under way at a time, of what the operator listed and of what a file remembers: apart, so that dead cached peers never hold up a
 * static one. Together with those of discovery they stay below the 100 of libp2p's own queue.
 */
export const PARALLEL_DIALS = { listed: 48, cached: 16 } as const;
const TICK_MS = 250;

type Kind = keyof typeof PARALLEL_DIALS;

export class Dialer {
  private readonly deps: DialerDependencies;
  private readonly optimiseRetries: boolean;
  private readonly targets = new Map<string, TargetState>();
  private readonly underWay = { listed: 0, cached: 0 };
  /** Rises when something changes, so that the outcome of a dial begun before does not count as hopeless. */
  private changes = 0;
  private running: { readonly ended: AbortController; readonly timer: NodeJS.Timeout } | undefined;

  constructor(deps: DialerDependencies, options: { readonly optimiseRetries: boolean }) {
    this.deps = deps;
    this.optimiseRetries = options.optimiseRetries;
  }

  /** Adds targets, at most 1000 in all; the same address counts once. */
  add(targets: readonly DialTarget[]): void {
    for (const target of targets) {
      if (this.targets.has(target.address) || this.targets.size >= MAX_TARGETS) continue;
      this.targets.set(target.address, {
        ...target,
        failures: 0,
        nextAtMs: 0,
        reached: false,
        hopeless: false,
        dialling: false,
        connectedAs: target.peerId,
        connectedSinceMs: undefined,
      });
    }
    this.dialDue();
  }

  start(): void {
    if (this.running !== undefined) return;
    const timer = setInterval(() => this.dialDue(), TICK_MS);
    timer.unref();
    this.running = { ended: new AbortController(), timer };
    this.dialDue();
  }

  /** Aborts what is under way. */
  stop(): void {
    clearInterval(this.running?.timer);
    this.running?.ended.abort();
    this.running = undefined;
  }

  /** Something changed (a peer left, an address came up): hopeless targets have hope again, once their wait is over. */
  networkChanged(): void {
    this.changes += 1;
    for (const target of this.targets.values()) target.hopeless = false;
    this.dialDue();
  }

  /** What was refused may be allowed now: every target is due at once, with a fresh back-off. */
  retry(): void {
    this.changes += 1;
    for (const target of this.targets.values()) {
      target.hopeless = false;
      target.failures = 0;
      target.nextAtMs = 0;
    }
    this.dialDue();
  }

  /** The peer went from no connection to one, whoever dialled. */
  peerCame(peerId: PeerId): void {
    for (const target of this.targets.values())
      if (target.connectedAs === peerId) target.connectedSinceMs = this.deps.nowMs();
  }

  /** Its last connection ended: a target that had settled is dialled again soon, with a fresh back-off; another waits as after a failed dial. */
  peerLost(peerId: PeerId): void {
    for (const target of this.targets.values())
      if (target.connectedAs === peerId && !target.dialling) this.connectionEnded(target);
  }

  /** Peers that must not be trimmed: those of targets that are kept for ever. */
  protects(peerId: PeerId): boolean {
    for (const target of this.targets.values())
      if (target.connectedAs === peerId && target.keep === 'always') return true;
    return false;
  }

  /** Begins as many dials as there is room for; each ends by itself and makes room for the next. */
  private dialDue(): void {
    for (const kind of ['listed', 'cached'] as const) {
      while (this.running !== undefined && this.underWay[kind] < PARALLEL_DIALS[kind]) {
        const target = this.longestDue(kind);
        if (target === undefined) break;
        target.dialling = true;
        this.underWay[kind] += 1;
        void this.attempt(target, this.running.ended.signal).finally(() => {
          target.dialling = false;
          this.underWay[kind] -= 1;
          this.dialDue();
        });
      }
    }
  }

  private longestDue(kind: Kind): TargetState | undefined {
    const nowMs = this.deps.nowMs();
    let longest: TargetState | undefined;
    for (const target of this.targets.values()) {
      if (kindOf(target) !== kind || !this.isDue(target, nowMs)) continue;
      if (longest === undefined || target.nextAtMs < longest.nextAtMs) longest = target;
    }
    return longest;
  }

  private isDue(target: TargetState, nowMs: number): boolean {
    if (target.dialling || nowMs < target.nextAtMs) return false;
    if (target.hopeless && this.optimiseRetries) return false;
    if (target.connectedAs !== undefined && this.deps.isConnected(target.connectedAs)) return false;
    if (target.keep === 'always' || !target.reached) return true;
    return target.keep === 'when_alone' && this.deps.connectedCount() === 0;
  }

  private async attempt(target: TargetState, signal: AbortSignal): Promise<void> {
    const { changes } = this;
    const { outcome, peerId, reason } = await this.deps.dial(target, signal);
    if (signal.aborted) return;
    this.deps.dials.add(1, { outcome });
    if (outcome !== 'connected') {
      target.hopeless = outcome === 'hopeless' && changes === this.changes;
      this.backOff(target, { outcome, reason }, 'dial failed');
      return;
    }
    target.reached = true;
    if (peerId !== undefined) target.connectedAs = peerId;
    target.connectedSinceMs ??= this.deps.nowMs();
    // What ended while it was being made was told of when the target did not know its peer yet.
    if (target.connectedAs !== undefined && !this.deps.isConnected(target.connectedAs)) this.connectionEnded(target);
  }

  private connectionEnded(target: TargetState): void {
    const livedMs = this.deps.nowMs() - (target.connectedSinceMs ?? Number.NEGATIVE_INFINITY);
    target.connectedSinceMs = undefined;
    if (target.keep === 'until_connected') return;
    if (livedMs < SETTLED_MS) {
      this.backOff(target, { livedMs: Math.round(livedMs) }, 'connection did not last');
      return;
    }
    target.failures = 0;
    target.nextAtMs = this.deps.nowMs() + this.jitter(FIRST_BACKOFF_MS);
  }

  private backOff(target: TargetState, why: object, message: string): void {
    target.failures += 1;
    const backoffMs = this.jitter(Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(target.failures - 1, 16)));
    target.nextAtMs = this.deps.nowMs() + backoffMs;
    const level = target.failures === 1 ? 'info' : 'debug';
    const { address, failures } = target;
    this.deps.log[level]({ address, failures, ...why, retryInMs: Math.round(backoffMs) }, message);
  }

  private jitter(ms: number): number {
    return ms * (0.75 + this.deps.random() / 2);
  }
}

/** What a peer cache remembers is dialled until it was reached; all else the operator listed. */
function kindOf(target: DialTarget): Kind {
  return target.keep === 'until_connected' ? 'cached' : 'listed';
}
