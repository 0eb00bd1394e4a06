// Peers that others name as being of our network. Their records live for a day and more, so most may be gone, and whoever answers may name thousands that never were:
// those that could not be reached rest, and whose turn it is is drawn, so that neither keeps us from those that are there.
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../../domain/ids.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Metrics } from '../../../ports/metrics.ts';

/** Dials under way; together with those of the dialer they stay below the 100 of libp2p's own queue. */
const MAX_DIALS = 32;
const MAX_WAITING = 1000;
const MAX_RESTING = 4000;
/** A peer has a few; whatever else is said to be its address is another's, or nobody's. */
const MAX_ADDRESSES = 8;
/** After the first failure, doubled with each further one. */
const FIRST_REST_MS = 30_000;
const LAST_REST_MS = 10 * 60_000;

export interface FoundPeersDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly random: () => number;
  /** False for ourselves, for those that are connected, and when there are enough. */
  readonly isWanted: (peerId: PeerId) => boolean;
  /** Settles within its own deadline; rejects when there is no connection. */
  readonly dial: (peerId: PeerId, addresses: readonly string[]) => Promise<unknown>;
}

interface Rest {
  readonly failures: number;
  readonly untilMs: number;
}

export class FoundPeers {
  private readonly deps: FoundPeersDependencies;
  private readonly waiting = new Map<PeerId, readonly string[]>();
  private readonly dialling = new Set<PeerId>();
  private readonly resting = new LRUCache<PeerId, Rest>({ max: MAX_RESTING });
  private stopped = false;

  constructor(deps: FoundPeersDependencies) {
    this.deps = deps;
    const kinds = {
      waiting: [MAX_WAITING, () => this.waiting.size],
      dialling: [MAX_DIALS, () => this.dialling.size],
      resting: [MAX_RESTING, () => this.resting.size],
    } as const;
    for (const [kind, [bound, read]] of Object.entries(kinds)) {
      deps.metrics.gauge('teranode_p2p_found_peers', 'Peers found in the DHT that are not connected', read, { kind });
      deps.metrics.gauge('teranode_p2p_found_peers_bound', 'Such peers at most', () => bound, { kind });
    }
  }

  /** When too many wait already it takes the place of one of them, which is left out until it is found again. */
  found(peerId: PeerId, addresses: readonly string[]): void {
    if (this.stopped || this.dialling.has(peerId) || !this.deps.isWanted(peerId)) return;
    if ((this.resting.peek(peerId)?.untilMs ?? 0) > this.deps.nowMs()) return;
    const drawn = this.waiting.size >= MAX_WAITING && !this.waiting.has(peerId) ? this.draw() : undefined;
    if (drawn !== undefined) this.waiting.delete(drawn);
    this.waiting.set(peerId, addresses.slice(0, MAX_ADDRESSES));
    // Those of the same answer come in at once; whose turn it is is drawn among them all.
    queueMicrotask(() => this.next());
  }

  stop(): void {
    this.stopped = true;
    this.waiting.clear();
  }

  private next(): void {
    while (this.dialling.size < MAX_DIALS && this.waiting.size > 0) {
      const drawn = this.draw();
      const addresses = drawn === undefined ? undefined : this.waiting.get(drawn);
      if (drawn === undefined || addresses === undefined) return;
      this.waiting.delete(drawn);
      if (this.deps.isWanted(drawn)) void this.dial(drawn, addresses);
    }
  }

  private draw(): PeerId | undefined {
    return [...this.waiting.keys()][Math.floor(this.deps.random() * this.waiting.size)];
  }

  private async dial(peerId: PeerId, addresses: readonly string[]): Promise<void> {
    this.dialling.add(peerId);
    try {
      await this.deps.dial(peerId, addresses);
      this.resting.delete(peerId);
    } catch (error) {
      this.deps.log.debug({ peerId, err: error }, 'peer found in the DHT not reached');
      this.rest(peerId);
    } finally {
      this.dialling.delete(peerId);
      this.next();
    }
  }

  private rest(peerId: PeerId): void {
    const failures = (this.resting.get(peerId)?.failures ?? 0) + 1;
    const restMs = Math.min(LAST_REST_MS, FIRST_REST_MS * 2 ** Math.min(failures - 1, 16));
    this.resting.set(peerId, { failures, untilMs: this.deps.nowMs() + restMs * (0.75 + this.deps.random() / 2) });
  }
}
