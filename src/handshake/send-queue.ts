// The order in which handshake messages are sent. A peer has one message under way at a time. A slow peer has a
// cool-down that doubles, may use few of the slots, and comes after all others: peers that never answer delay each
// other and nobody else.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../domain/ids.ts';
import { backoffMs } from '../lib/backoff.ts';

/** Maximum number of messages under way: more than the connections of a node with default settings. */
const MAX_CONCURRENT = 512;
/** Slots among these for peers that were slow last time. */
const MAX_SLOW_CONCURRENT = 64;
export const MAX_WAITING = 2000;
/** A version and a verack, and each once more after a new connection. */
const MAX_WAITING_OF_PEER = 4;
export const MAX_SLOW_PEERS = 4000;
/** The first cool-down is as long as the send deadline, for which the peer held a slot. */
const COOL_DOWN = { firstMs: 5000, lastMs: 120_000 };

/** How fast a peer took the message; `untried`: nothing was sent to it. */
export type Pace = 'quick' | 'slow' | 'untried';

interface Slowness {
  readonly times: number;
  readonly coolsDownUntilMs: number;
}

export class SendQueue<T> {
  private readonly onDrop: (job: T) => void;
  /** The longest waiting peer first; no list is empty. */
  private readonly waiting = new Map<PeerId, T[]>();
  private readonly underWay = new Set<PeerId>();
  private readonly slow = new LRUCache<PeerId, Slowness>({ max: MAX_SLOW_PEERS });
  private count = 0;

  constructor(onDrop: (job: T) => void) {
    this.onDrop = onDrop;
  }

  /** Number of waiting jobs. */
  get length(): number {
    return this.count;
  }

  /** Number of peers that were slow last time. */
  get slowPeers(): number {
    return this.slow.size;
  }

  /**
   * When a bound is exceeded, the peer's own oldest job is dropped, else the oldest job of a slow peer, else the oldest
   * job.
   */
  push(peerId: PeerId, job: T): void {
    const jobs = this.waiting.get(peerId) ?? [];
    this.waiting.set(peerId, jobs);
    jobs.push(job);
    this.count += 1;
    if (jobs.length > MAX_WAITING_OF_PEER) this.drop(peerId);
    else if (this.count > MAX_WAITING) this.drop(this.oldestSlow() ?? this.oldest());
  }

  /** The next job that may be sent; it is under way until `ended` is called. */
  take(nowMs: number): { readonly peerId: PeerId; readonly job: T } | undefined {
    const peerId = this.underWay.size < MAX_CONCURRENT ? this.nextPeer(nowMs) : undefined;
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
    this.slow.set(peerId, { times, coolsDownUntilMs: nowMs + backoffMs(COOL_DOWN, times) });
  }

  /** ms until the first cool-down of a waiting peer ends; undefined when no waiting peer is in one. */
  coolDownMs(nowMs: number): number | undefined {
    let leastMs: number | undefined;
    for (const peerId of this.waiting.keys()) {
      const untilMs = this.slow.peek(peerId)?.coolsDownUntilMs;
      if (untilMs === undefined || untilMs <= nowMs || this.underWay.has(peerId)) continue;
      leastMs = Math.min(leastMs ?? untilMs - nowMs, untilMs - nowMs);
    }
    return leastMs;
  }

  /** Drops all waiting jobs. */
  clear(): void {
    for (let peerId = this.oldest(); peerId !== undefined; peerId = this.oldest()) this.drop(peerId);
  }

  private nextPeer(nowMs: number): PeerId | undefined {
    let cooledDown: PeerId | undefined;
    for (const peerId of this.waiting.keys()) {
      if (this.underWay.has(peerId)) continue;
      const slowness = this.slow.peek(peerId);
      if (slowness === undefined) return peerId;
      if (slowness.coolsDownUntilMs <= nowMs) cooledDown ??= peerId;
    }
    return cooledDown !== undefined && this.slowUnderWay() < MAX_SLOW_CONCURRENT ? cooledDown : undefined;
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
