// Who announced what: hash -> authors, the first one first (spec: blockPeerMap, subtreePeerMap). Content that later proves invalid is
// charged by this, and an announcement that repeats itself is told by it. One writer: the effects of the gossip pipeline.
import type { Clock } from '../ports/clock.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { Hash, PeerId } from '../wire/ids.ts';

/** One announcement of a hash. */
export interface Announcement {
  /** Who signed it. */
  readonly author: PeerId;
  /** The neighbour that handed it to us. */
  readonly relay: PeerId;
  readonly dataHubUrl: string;
  /** Monotonic ms. */
  readonly atMs: number;
}

export interface AttributionOptions {
  /** `block` or `subtree`, for the metrics. */
  readonly kind: 'block' | 'subtree';
  /** `p2p_peer_map_max_size`: announcements kept; the hash announced first leaves first. */
  readonly maxAnnouncements: number;
  /** `p2p_peer_map_ttl`, counted from the first announcement of a hash. */
  readonly ttlMs: number;
}

export class Attribution {
  private readonly clock: Clock;
  private readonly options: AttributionOptions;
  private readonly evicted: Counter;
  /** In the order of each hash's first announcement, which is the order of expiry too. */
  private readonly byHash = new Map<Hash, Announcement[]>();
  private count = 0;

  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics }, options: AttributionOptions) {
    this.clock = deps.clock;
    this.options = options;
    this.evicted = deps.metrics.counter('teranode_p2p_attribution_evicted_total', 'Announcements forgotten', [
      'kind',
      'reason',
    ]);
    const labels = { kind: options.kind };
    deps.metrics.gauge('teranode_p2p_attribution_entries', 'Announcements remembered', () => this.count, labels);
    deps.metrics.gauge(
      'teranode_p2p_attribution_bound',
      'Announcements remembered at most',
      () => options.maxAnnouncements,
      labels,
    );
  }

  /** True when this author has announced this hash within the TTL. */
  knows(hash: Hash, author: PeerId): boolean {
    const announcements = this.live(hash);
    if (announcements === undefined) return false;
    for (const announcement of announcements) if (announcement.author === author) return true;
    return false;
  }

  /** Announcements of a hash within the TTL, the first one first; empty when unknown. */
  announcementsOf(hash: Hash): readonly Announcement[] {
    return this.live(hash) ?? [];
  }

  record(hash: Hash, announcement: Omit<Announcement, 'atMs'>): void {
    const entry = { ...announcement, atMs: this.clock.monotonic() };
    const known = this.live(hash);
    if (known === undefined) {
      this.forget(hash, 'expired');
      this.byHash.set(hash, [entry]);
    } else {
      known.push(entry);
    }
    this.count += 1;
    while (this.count > this.options.maxAnnouncements) {
      const oldest = this.byHash.keys().next();
      if (oldest.done) break;
      this.forget(oldest.value, 'full');
    }
  }

  /** Forgets what is older than the TTL; called each `p2p_peer_map_cleanup_interval`. */
  cleanUp(): void {
    for (const [hash, announcements] of this.byHash) {
      if (!this.isExpired(announcements)) return;
      this.forget(hash, 'expired');
    }
  }

  size(): number {
    return this.count;
  }

  private live(hash: Hash): Announcement[] | undefined {
    const announcements = this.byHash.get(hash);
    return announcements === undefined || this.isExpired(announcements) ? undefined : announcements;
  }

  private isExpired(announcements: readonly Announcement[]): boolean {
    const first = announcements[0];
    return first === undefined || this.clock.monotonic() - first.atMs > this.options.ttlMs;
  }

  private forget(hash: Hash, reason: 'full' | 'expired'): void {
    const announcements = this.byHash.get(hash);
    if (announcements === undefined) return;
    this.byHash.delete(hash);
    this.count -= announcements.length;
    this.evicted.add(announcements.length, { kind: this.options.kind, reason });
  }
}
