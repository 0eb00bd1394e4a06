// Keeps the connections that the operator asked for: static peers, persistent bootstrap addresses, and, at start, cached peers. Each
// target has its own back-off and is never given up; with `p2p_optimise_retries` what cannot work is left out until something changes.
import type { Logger } from '../../ports/log.ts';
import type { Counter } from '../../ports/metrics.ts';
import type { PeerId } from '../../wire/ids.ts';

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

  /** A connection ended: its target is dialled again soon, with a fresh back-off. */
  peerLost(peerId: PeerId): void {
    for (const target of this.targets.values()) {
      if (target.connectedAs !== peerId || target.keep === 'until_connected') continue;
      target.failures = 0;
      target.nextAtMs = this.deps.nowMs() + this.jitter(FIRST_BACKOFF_MS);
    }
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
    if (outcome === 'connected') {
      target.reached = true;
      target.failures = 0;
      target.nextAtMs = this.deps.nowMs() + FIRST_BACKOFF_MS;
      if (peerId !== undefined) target.connectedAs = peerId;
      return;
    }
    target.failures += 1;
    target.hopeless = outcome === 'hopeless' && changes === this.changes;
    const backoffMs = this.jitter(Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(target.failures - 1, 16)));
    target.nextAtMs = this.deps.nowMs() + backoffMs;
    const level = target.failures === 1 ? 'info' : 'debug';
    this.deps.log[level](
      { address: target.address, failures: target.failures, outcome, reason, retryInMs: Math.round(backoffMs) },
      'dial failed',
    );
  }

  private jitter(ms: number): number {
    return ms * (0.75 + this.deps.random() / 2);
  }
}

/** What a peer cache remembers is dialled until it was reached; all else the operator listed. */
function kindOf(target: DialTarget): Kind {
  return target.keep === 'until_connected' ? 'cached' : 'listed';
}
