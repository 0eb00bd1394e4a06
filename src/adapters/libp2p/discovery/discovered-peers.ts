// Peers that others name as being on our network, in the DHT or when they are asked for an address. Records live for a
// day and more, so most may be gone, and whoever answers may name thousands that never existed. Peers that could not be reached have a cool-down,
// and the next to dial is drawn at random, so that neither keeps this node from the peers that are there.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../../domain/ids.ts';
import { backoffMs } from '../../../lib/backoff.ts';
import type { Logger } from '../../../ports/log.ts';
import { gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';

/** Dials at the same time; together with those of the dialer fewer than the 100 of libp2p's own queue. */
const MAX_DIALS = 32;
const MAX_QUEUED = 1000;
const MAX_COOLING_DOWN = 4000;
/** A peer has a few addresses; more are another peer's, or nobody's. */
const MAX_ADDRESSES = 8;
/** After the first failure, doubled with each further one. */
const COOL_DOWN = { firstMs: 30_000, lastMs: 10 * 60_000 } as const;

export interface DiscoveredPeersDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly random: () => number;
  /** False for this node itself, for connected peers, and when enough peers are connected. */
  readonly isWanted: (peerId: PeerId) => boolean;
  /** Settles within its own deadline; rejects when no connection was made. */
  readonly dial: (peerId: PeerId, addresses: readonly string[]) => Promise<unknown>;
}

interface CoolDown {
  readonly failures: number;
  readonly untilMs: number;
}

export class DiscoveredPeers {
  private readonly deps: DiscoveredPeersDependencies;
  private readonly queued = new Map<PeerId, readonly string[]>();
  private readonly dialling = new Set<PeerId>();
  private readonly coolingDown = new LRUCache<PeerId, CoolDown>({ max: MAX_COOLING_DOWN });
  private isStopped = false;

  constructor(deps: DiscoveredPeersDependencies) {
    this.deps = deps;
    const kinds = {
      waiting: [MAX_QUEUED, () => this.queued.size],
      dialling: [MAX_DIALS, () => this.dialling.size],
      resting: [MAX_COOLING_DOWN, () => this.coolingDown.size],
    } as const;
    const name = 'teranode_p2p_found_peers';
    const help = 'Discovered peers that are not connected: queued, being dialled, or in a cool-down';
    for (const [kind, [bound, read]] of Object.entries(kinds))
      gaugeWithBound(deps.metrics, { name, help, labels: { kind } }, read, bound);
  }

  /** When the queue is full the peer replaces a random one, which comes back when it is discovered again. */
  discovered(peerId: PeerId, addresses: readonly string[]): void {
    if (this.isStopped || this.dialling.has(peerId) || !this.deps.isWanted(peerId)) return;
    if ((this.coolingDown.peek(peerId)?.untilMs ?? 0) > this.deps.nowMs()) return;
    const evicted = this.queued.size >= MAX_QUEUED && !this.queued.has(peerId) ? this.draw() : undefined;
    if (evicted !== undefined) this.queued.delete(evicted);
    this.queued.set(peerId, addresses.slice(0, MAX_ADDRESSES));
    // Peers of one answer arrive together: draw among all of them.
    queueMicrotask(() => this.dialNext());
  }

  stop(): void {
    this.isStopped = true;
    this.queued.clear();
  }

  private dialNext(): void {
    while (this.dialling.size < MAX_DIALS && this.queued.size > 0) {
      const drawn = this.draw();
      const addresses = drawn === undefined ? undefined : this.queued.get(drawn);
      if (drawn === undefined || addresses === undefined) return;
      this.queued.delete(drawn);
      if (this.deps.isWanted(drawn)) void this.dial(drawn, addresses);
    }
  }

  private draw(): PeerId | undefined {
    return [...this.queued.keys()][Math.floor(this.deps.random() * this.queued.size)];
  }

  private async dial(peerId: PeerId, addresses: readonly string[]): Promise<void> {
    this.dialling.add(peerId);
    try {
      await this.deps.dial(peerId, addresses);
      this.coolingDown.delete(peerId);
    } catch (error) {
      this.deps.log.debug({ peerId, err: error }, 'failed to dial discovered peer');
      this.coolDown(peerId);
    } finally {
      this.dialling.delete(peerId);
      this.dialNext();
    }
  }

  private coolDown(peerId: PeerId): void {
    const failures = (this.coolingDown.get(peerId)?.failures ?? 0) + 1;
    const ms = backoffMs(COOL_DOWN, failures) * (0.75 + this.deps.random() / 2);
    this.coolingDown.set(peerId, { failures, untilMs: this.deps.nowMs() + ms });
  }
}
