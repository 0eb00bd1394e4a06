// Keeps the connections that the operator asked for: static peers, persistent bootstrap addresses, and, at start, cached peers. Each
// target has its own back-off and is never given up; with `p2p_optimise_retries` what cannot work is left out until something changes.
import type { Logger } from '../../ports/log.ts';
import type { Counter } from '../../ports/metrics.ts';
import { type Repeating, repeating } from '../../repeating.ts';
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
/** A new attempt at a hopeless target when retries are not optimised. */
const MAX_TARGETS = 1000;
const PARALLEL_DIALS = 16;
const TICK_MS = 250;

export class Dialer {
  private readonly deps: DialerDependencies;
  private readonly optimiseRetries: boolean;
  private readonly targets = new Map<string, TargetState>();
  private loop: Repeating | undefined;

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
        connectedAs: target.peerId,
      });
    }
    this.loop?.wake();
  }

  start(): void {
    this.loop ??= repeating(
      (signal) => this.round(signal),
      { firstMs: 0, nextMs: () => TICK_MS },
      (error) => this.deps.log.error({ err: error }, 'dial round failed'),
    );
  }

  stop(): void {
    this.loop?.stop();
    this.loop = undefined;
  }

  /** Something changed (a peer left, an address came up): targets are due at once again, hopeless ones too. */
  networkChanged(): void {
    for (const target of this.targets.values()) target.hopeless = false;
    this.loop?.wake();
  }

  /** What was refused may be allowed now: every target is due at once, with a fresh back-off. */
  retry(): void {
    for (const target of this.targets.values()) {
      target.hopeless = false;
      target.failures = 0;
      target.nextAtMs = 0;
    }
    this.loop?.wake();
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

  private async round(signal: AbortSignal): Promise<void> {
    const now = this.deps.nowMs();
    const due = [...this.targets.values()].filter((target) => this.isDue(target, now));
    for (let i = 0; i < due.length && !signal.aborted; i += PARALLEL_DIALS) {
      await Promise.all(due.slice(i, i + PARALLEL_DIALS).map((target) => this.attempt(target, signal)));
    }
  }

  private isDue(target: TargetState, nowMs: number): boolean {
    if (nowMs < target.nextAtMs) return false;
    if (target.hopeless && this.optimiseRetries) return false;
    if (target.connectedAs !== undefined && this.deps.isConnected(target.connectedAs)) return false;
    if (target.keep === 'always' || !target.reached) return true;
    return target.keep === 'when_alone' && this.deps.connectedCount() === 0;
  }

  private async attempt(target: TargetState, signal: AbortSignal): Promise<void> {
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
    target.hopeless = outcome === 'hopeless';
    const backoffMs = Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(target.failures - 1, 16));
    target.nextAtMs = this.deps.nowMs() + this.jitter(backoffMs);
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
