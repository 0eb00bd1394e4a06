// Closes connections over the high-water mark: every 10 s, and soon after a connection too many was identified.
import type { PeerId } from '../../../domain/ids.ts';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Logger } from '../../../ports/log.ts';
import type { ConnectionLimits } from '../node-options.ts';
import type { PeerBook } from './peer-book.ts';
import { chooseToTrim } from './trimming.ts';

const INTERVAL_MS = 10_000;

export interface TrimmerDependencies {
  readonly book: PeerBook;
  readonly log: Logger;
  /** Unix ms. */
  readonly nowMs: () => number;
  readonly isProtected: (peerId: PeerId) => boolean;
  /** Peers in the mesh, once for each topic. */
  readonly meshPeers: () => Iterable<PeerId>;
  /** Peers that subscribe to any of our topics; may name a peer several times. */
  readonly subscribers: () => Iterable<PeerId>;
  /** Settles within its own deadline. */
  readonly hangUp: (peerId: PeerId) => Promise<unknown>;
}

export class Trimmer {
  private readonly deps: TrimmerDependencies;
  private readonly limits: ConnectionLimits;
  private loop: Repeating | undefined;

  constructor(deps: TrimmerDependencies, limits: ConnectionLimits) {
    this.deps = deps;
    this.limits = limits;
  }

  start(): void {
    if (!this.limits.trims) return;
    const failed = (error: unknown) => this.deps.log.warn({ err: error }, 'failed to trim connections');
    this.loop ??= repeating(() => this.trim(), { firstMs: INTERVAL_MS, nextMs: () => INTERVAL_MS }, failed);
  }

  stop(): void {
    this.loop?.stop();
  }

  /** Trims soon when there are too many. */
  connectionAdded(): void {
    if (this.deps.book.connectedCount() > this.limits.highWater) this.loop?.wake();
  }

  private async trim(): Promise<void> {
    const { book, isProtected, meshPeers, subscribers, nowMs, log, hangUp } = this.deps;
    const meshTopics = new Map<PeerId, number>();
    for (const peer of meshPeers()) meshTopics.set(peer, (meshTopics.get(peer) ?? 0) + 1);
    const subscribing = new Set(subscribers());
    const candidates = book.connectedRecords().map((peer) => ({
      peerId: peer.id,
      connectedAtMs: peer.connectedAtMs ?? 0,
      isProtected: isProtected(peer.id),
      meshTopics: meshTopics.get(peer.id) ?? 0,
      subscribes: subscribing.has(peer.id),
      direction: peer.direction ?? 'inbound',
      group: book.groupOf(peer.id),
    }));
    const chosen = chooseToTrim(candidates, this.limits, nowMs());
    if (chosen.length === 0) return;
    await Promise.allSettled(chosen.map(hangUp));
    log.info({ connected: candidates.length, closed: chosen.length }, 'trimmed connections');
  }
}
