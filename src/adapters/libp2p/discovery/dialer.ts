// Keeps the connections that the operator asked for: static peers, persistent bootstrap addresses, and, at start,
// cached peers. Each target has its own back-off or rhythm and is never given up; with `p2p_optimise_retries` a dial
// that cannot work is not repeated until something changes. A connection that ends at once counts as a failed dial: the
// peer rejects us.
import type { PeerId } from '../../../domain/ids.ts';
import { backoffMs } from '../../../lib/backoff.ts';
import type { DialState } from '../../../ports/diagnosis.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter } from '../../../ports/metrics.ts';
import type { DialRhythm } from '../node-options.ts';

/** `hopeless`: the same dial cannot work until something changes. */
export type DialOutcome = 'connected' | 'failed' | 'hopeless';

export interface DialTarget {
  /** Multiaddr, with the peer ID at its end where it is known. */
  readonly address: string;
  readonly peerId: PeerId | undefined;
  /**
   * `always`: redialled forever. `until_connected`: until it was reached once. `when_alone`: the same, and again when
   * no peer is connected.
   */
  readonly keep: 'always' | 'until_connected' | 'when_alone';
  /** The listed name that resolved to this address. */
  readonly group?: string;
}

export interface DialResult {
  readonly outcome: DialOutcome;
  readonly peerId?: PeerId;
  /** Why it failed: names and codes of errors. */
  readonly reason?: string | undefined;
  /** What an operator should look at first. */
  readonly likelyCause?: string | undefined;
  /** Why it failed, in words, and how far it got; not logged. */
  readonly failure?: string;
  readonly stage?: string;
}

interface TargetState extends Omit<DialTarget, 'group'> {
  keep: DialTarget['keep'];
  /** Whether the operator listed this address itself. */
  isListed: boolean;
  /** Listed names that resolved to this address. */
  readonly groups: Set<string>;
  failures: number;
  nextAtMs: number;
  /** When the fast part of the rhythm began. */
  sinceMs: number;
  isReached: boolean;
  isHopeless: boolean;
  isDialling: boolean;
  /** Of the last dial, or of a connection that ended at once; undefined since it was connected and stayed. */
  lastFailure: { readonly failure: string; readonly stage: string | undefined } | undefined;
  /** A warning has named the likely cause of its failures since it was connected last. */
  hasWarned: boolean;
  connectedAs: PeerId | undefined;
  /**
   * Since when it is connected without a break, whoever dialled; undefined while it is not, or when it was connected
   * before the start.
   */
  connectedSinceMs: number | undefined;
}

export interface DialerDependencies {
  readonly log: Logger;
  readonly dials: Counter;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly isConnected: (peerId: PeerId) => boolean;
  readonly connectedCount: () => number;
  /** Cached peers that may be dialled at the same time until enough peers are connected. */
  readonly room: () => number;
  /** Settles within its own deadline, never throws. */
  readonly dial: (target: DialTarget, signal: AbortSignal) => Promise<DialResult>;
}

/** The slowest handshake, topic included: a peer that rejects us has disconnected by then. */
export const SETTLED_MS = 10_000;
/** Doubled with each failure. */
const FIRST_BACKOFF_MS = 500;
export const LAST_BACKOFF_MS = 30_000;
const BACKOFF = { firstMs: FIRST_BACKOFF_MS, lastMs: LAST_BACKOFF_MS } as const;
const MAX_TARGETS = 1000;
/**
 * Dials at the same time, to listed peers and to cached peers: separate, so that dead cached peers never delay a static
 * one. Together with those of discovery they stay below the 100 of libp2p's own queue.
 */
export const PARALLEL_DIALS = { listed: 48, cached: 16 } as const;
const TICK_MS = 250;

type Kind = keyof typeof PARALLEL_DIALS;

/** The higher, the longer a target is dialled. */
const LASTING = { until_connected: 0, when_alone: 1, always: 2 } as const;

export interface DialerOptions {
  readonly optimiseRetries: boolean;
  /** For listed peers. Default: a back-off that doubles with each failure. */
  readonly rhythm?: DialRhythm | undefined;
}

export class Dialer {
  private readonly deps: DialerDependencies;
  private readonly options: DialerOptions;
  private readonly targets = new Map<string, TargetState>();
  private readonly dialCounts = { listed: 0, cached: 0 };
  /** Rises when something changes, so that the outcome of a dial that began before does not count as hopeless. */
  private changes = 0;
  private running: { readonly ended: AbortController; readonly timer: NodeJS.Timeout } | undefined;

  constructor(deps: DialerDependencies, options: DialerOptions) {
    this.deps = deps;
    this.options = options;
  }

  /** Adds targets, at most 1000 in all; the same address counts once, and is kept as the most lasting of them. */
  add(targets: readonly DialTarget[]): void {
    for (const { group, ...target } of targets) {
      const known = this.targets.get(target.address);
      if (known === undefined && this.targets.size >= MAX_TARGETS) continue;
      const state = known ?? this.newState(target);
      if (group !== undefined) state.groups.add(group);
      else if (kindOf(target) === 'listed') state.isListed = true;
      if (kindOf(state) === 'cached' && kindOf(target) === 'listed') state.sinceMs = this.deps.nowMs();
      if (LASTING[target.keep] > LASTING[state.keep]) state.keep = target.keep;
      this.targets.set(target.address, state);
    }
    this.dialDue();
  }

  private newState(target: Omit<DialTarget, 'group'>): TargetState {
    return {
      ...target,
      isListed: false,
      groups: new Set(),
      failures: 0,
      nextAtMs: 0,
      sinceMs: this.deps.nowMs(),
      isReached: false,
      isHopeless: false,
      isDialling: false,
      lastFailure: undefined,
      hasWarned: false,
      connectedAs: target.peerId,
      connectedSinceMs: undefined,
    };
  }

  /**
   * The group's name resolved to these targets; those that it had before and that are not among them are left alone.
   */
  replaceGroup(group: string, targets: readonly DialTarget[]): void {
    const addresses = new Set(targets.map(({ address }) => address));
    for (const [address, { groups, isListed }] of this.targets) {
      if (addresses.has(address) || !groups.delete(group)) continue;
      if (groups.size === 0 && !isListed) this.targets.delete(address);
    }
    this.add(targets.map((target) => ({ ...target, group })));
  }

  /** True when each target of the group was dialled in vain and none is connected, or when the group has none. */
  hasGroupFailed(group: string): boolean {
    const targets = [...this.targets.values()].filter(({ groups }) => groups.has(group));
    return targets.every((target) => target.failures > 0 && !this.isConnected(target));
  }

  start(): void {
    if (this.running !== undefined) return;
    const timer = setInterval(() => this.dialDue(), TICK_MS);
    timer.unref();
    this.running = { ended: new AbortController(), timer };
    this.dialDue();
  }

  /** Aborts running dials. */
  stop(): void {
    clearInterval(this.running?.timer);
    this.running?.ended.abort();
    this.running = undefined;
  }

  /** Something changed, e.g. a peer disconnected: hopeless targets are dialled again once their back-off is over. */
  networkChanged(): void {
    this.changes += 1;
    for (const target of this.targets.values()) target.isHopeless = false;
    this.dialDue();
  }

  /** Addresses that were refused may be allowed now: every target is due at once, with a fresh back-off. */
  retry(): void {
    this.changes += 1;
    for (const target of this.targets.values()) {
      target.isHopeless = false;
      target.failures = 0;
      target.nextAtMs = 0;
    }
    this.dialDue();
  }

  /** The peer has its first connection, whoever dialled. */
  peerConnected(peerId: PeerId): void {
    for (const target of this.targets.values())
      if (target.connectedAs === peerId) target.connectedSinceMs = this.deps.nowMs();
  }

  /**
   * The peer's last connection ended. If it had settled it is dialled again soon, with a fresh back-off; if not, as
   * after a failed dial.
   */
  peerDisconnected(peerId: PeerId): void {
    for (const target of this.targets.values())
      if (target.connectedAs === peerId && !target.isDialling) this.connectionEnded(target);
  }

  /** How the dials to the operator's peers went. */
  states(): DialState[] {
    return [...this.targets.values()]
      .filter((target) => kindOf(target) === 'listed')
      .map((target) => ({
        address: target.address,
        names: [...target.groups],
        isConnected: this.isConnected(target),
        failures: target.failures,
        stage: target.lastFailure?.stage,
        failure: target.lastFailure?.failure,
      }));
  }

  /** True for peers that must not be trimmed: those of targets that are kept forever. */
  protects(peerId: PeerId): boolean {
    for (const target of this.targets.values())
      if (target.connectedAs === peerId && target.keep === 'always') return true;
    return false;
  }

  /** Begins dials up to the limit; each that ends begins the next. */
  private dialDue(): void {
    for (const kind of ['listed', 'cached'] as const) {
      while (this.running !== undefined && this.dialCounts[kind] < this.parallelDials(kind)) {
        const target = this.longestDue(kind);
        if (target === undefined) break;
        target.isDialling = true;
        this.dialCounts[kind] += 1;
        void this.attempt(target, this.running.ended.signal).finally(() => {
          target.isDialling = false;
          this.dialCounts[kind] -= 1;
          this.dialDue();
        });
      }
    }
  }

  private parallelDials(kind: Kind): number {
    return kind === 'listed' ? PARALLEL_DIALS.listed : Math.min(PARALLEL_DIALS.cached, this.deps.room());
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
    if (target.isDialling || nowMs < target.nextAtMs) return false;
    if (target.isHopeless && this.options.optimiseRetries) return false;
    if (this.isConnected(target)) return false;
    if (target.keep === 'always' || !target.isReached) return true;
    return target.keep === 'when_alone' && this.deps.connectedCount() === 0;
  }

  private isConnected({ connectedAs }: TargetState): boolean {
    return connectedAs !== undefined && this.deps.isConnected(connectedAs);
  }

  private async attempt(target: TargetState, signal: AbortSignal): Promise<void> {
    const { changes } = this;
    const { outcome, peerId, reason, likelyCause, failure = reason, stage } = await this.deps.dial(target, signal);
    if (signal.aborted) return;
    this.deps.dials.add(1, { outcome });
    if (outcome !== 'connected') {
      target.lastFailure = { failure: failure ?? outcome, stage };
      target.isHopeless = outcome === 'hopeless' && changes === this.changes;
      this.backOff(target, { outcome, reason, likelyCause }, 'failed to dial peer');
      return;
    }
    target.isReached = true;
    target.hasWarned = false;
    target.lastFailure = undefined;
    if (peerId !== undefined) target.connectedAs = peerId;
    target.connectedSinceMs ??= this.deps.nowMs();
    // A connection may have ended while it was being made, when the target did not know its peer yet.
    if (target.connectedAs !== undefined && !this.deps.isConnected(target.connectedAs)) this.connectionEnded(target);
  }

  private connectionEnded(target: TargetState): void {
    const livedMs = this.deps.nowMs() - (target.connectedSinceMs ?? Number.NEGATIVE_INFINITY);
    target.connectedSinceMs = undefined;
    if (target.keep === 'until_connected') return;
    if (livedMs < SETTLED_MS) {
      const failure = `the peer closed the connection after ${Math.round(livedMs)} ms`;
      target.lastFailure = { failure, stage: 'connected' };
      this.backOff(target, { livedMs: Math.round(livedMs) }, 'connection did not last');
      return;
    }
    target.failures = 0;
    target.sinceMs = this.deps.nowMs();
    target.nextAtMs = target.sinceMs + this.jitter(FIRST_BACKOFF_MS);
  }

  private backOff(
    target: TargetState,
    why: Partial<DialResult> & { readonly livedMs?: number },
    message: string,
  ): void {
    target.failures += 1;
    const retryInMs = this.pauseMs(target);
    target.nextAtMs = this.deps.nowMs() + retryInMs;
    const warns = why.likelyCause !== undefined && !target.hasWarned && kindOf(target) === 'listed';
    target.hasWarned ||= warns;
    const level = warns ? 'warn' : target.failures === 1 ? 'info' : 'debug';
    const { address, failures } = target;
    this.deps.log[level]({ address, failures, ...why, retryInMs: Math.round(retryInMs) }, message);
  }

  private pauseMs(target: TargetState): number {
    const { rhythm } = this.options;
    if (rhythm === undefined || kindOf(target) !== 'listed') return this.jitter(backoffMs(BACKOFF, target.failures));
    return this.deps.nowMs() - target.sinceMs < rhythm.fastForMs ? rhythm.fastMs : rhythm.slowMs;
  }

  private jitter(ms: number): number {
    return ms * (0.75 + this.deps.random() / 2);
  }
}

/** Cached peers are dialled until they are reached; all others are listed by the operator. */
function kindOf(target: Pick<DialTarget, 'keep'>): Kind {
  return target.keep === 'until_connected' ? 'cached' : 'listed';
}
