// Whose message is sent next. A peer has one under way at a time. Who kept us waiting rests before its next, for a time that doubles, takes few of
// the places, and comes after everybody who did not: peers that never answer cost one another, and nobody else.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../domain/ids.ts';

/** More than the connections of a node of default settings, so that nobody there waits for a place. */
const MAX_AT_ONCE = 512;
/** Of these, for peers that kept us waiting last time. */
const MAX_SLOW_AT_ONCE = 64;
export const MAX_WAITING = 2000;
/** A version and a verack, each of them once more after a new connection. */
const MAX_WAITING_OF_PEER = 4;
export const MAX_SLOW_PEERS = 4000;
/** After the first time; as long again as the peer has held a place. */
const FIRST_REST_MS = 5000;
const LAST_REST_MS = 120_000;

/** Whether a peer kept us waiting; `untried`: nothing was asked of it. */
export type Pace = 'quick' | 'slow' | 'untried';

interface Slowness {
  readonly times: number;
  readonly restsUntilMs: number;
}

export class SendQueue<T> {
  private readonly onDrop: (job: T) => void;
  /** Waiting longest first; never empty lists. */
  private readonly waiting = new Map<PeerId, T[]>();
  private readonly underWay = new Set<PeerId>();
  private readonly slow = new LRUCache<PeerId, Slowness>({ max: MAX_SLOW_PEERS });
  private count = 0;

  constructor(onDrop: (job: T) => void) {
    this.onDrop = onDrop;
  }

  /** Jobs that wait. */
  get length(): number {
    return this.count;
  }

  /** Peers that kept us waiting. */
  get slowPeers(): number {
    return this.slow.size;
  }

  /** Beyond the bounds the peer's own oldest job is dropped, else that of a slow peer, else the oldest. */
  push(peerId: PeerId, job: T): void {
    const jobs = this.waiting.get(peerId) ?? [];
    this.waiting.set(peerId, jobs);
    jobs.push(job);
    this.count += 1;
    if (jobs.length > MAX_WAITING_OF_PEER) this.drop(peerId);
    else if (this.count > MAX_WAITING) this.drop(this.oldestSlow() ?? this.oldest());
  }

  /** The next job whose turn has come, now under way until `ended`. */
  take(nowMs: number): { readonly peerId: PeerId; readonly job: T } | undefined {
    const peerId = this.underWay.size < MAX_AT_ONCE ? this.nextPeer(nowMs) : undefined;
    const job = peerId === undefined ? undefined : this.shift(peerId);
    if (peerId === undefined || job === undefined) return undefined;
    this.underWay.add(peerId);
    return { peerId, job };
  }

  ended(peerId: PeerId, pace: Pace, nowMs: number): void {
    this.underWay.delete(peerId);
    if (pace === 'quick') this.slow.delete(peerId);
    if (pace !== 'slow') return;
    const times = (this.slow.get(peerId)?.times ?? 0) + 1;
    const restMs = Math.min(LAST_REST_MS, FIRST_REST_MS * 2 ** (times - 1));
    this.slow.set(peerId, { times, restsUntilMs: nowMs + restMs });
  }

  /** ms until a peer that waits has rested; undefined when none rests. */
  restMs(nowMs: number): number | undefined {
    let leastMs: number | undefined;
    for (const peerId of this.waiting.keys()) {
      const untilMs = this.slow.peek(peerId)?.restsUntilMs;
      if (untilMs === undefined || untilMs <= nowMs || this.underWay.has(peerId)) continue;
      leastMs = Math.min(leastMs ?? untilMs - nowMs, untilMs - nowMs);
    }
    return leastMs;
  }

  /** Drops all that waits. */
  clear(): void {
    for (let peerId = this.oldest(); peerId !== undefined; peerId = this.oldest()) this.drop(peerId);
  }

  private nextPeer(nowMs: number): PeerId | undefined {
    let rested: PeerId | undefined;
    for (const peerId of this.waiting.keys()) {
      if (this.underWay.has(peerId)) continue;
      const slowness = this.slow.peek(peerId);
      if (slowness === undefined) return peerId;
      if (slowness.restsUntilMs <= nowMs) rested ??= peerId;
    }
    return rested !== undefined && this.slowUnderWay() < MAX_SLOW_AT_ONCE ? rested : undefined;
  }

  private slowUnderWay(): number {
    let count = 0;
    for (const peerId of this.underWay) if (this.slow.has(peerId)) count += 1;
    return count;
  }

  private oldest(): PeerId | undefined {
    const [peerId] = this.waiting.keys();
    return peerId;
  }

  private oldestSlow(): PeerId | undefined {
    for (const peerId of this.waiting.keys()) if (this.slow.has(peerId)) return peerId;
    return undefined;
  }

  private drop(peerId: PeerId | undefined): void {
    const job = peerId === undefined ? undefined : this.shift(peerId);
    if (job !== undefined) this.onDrop(job);
  }

  private shift(peerId: PeerId): T | undefined {
    const jobs = this.waiting.get(peerId);
    const job = jobs?.shift();
    if (jobs?.length === 0) this.waiting.delete(peerId);
    if (job !== undefined) this.count -= 1;
    return job;
  }
}
