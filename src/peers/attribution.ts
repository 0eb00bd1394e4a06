// Who announced what: hash -> authors, the first one first (spec: blockPeerMap, subtreePeerMap). Content that later proves invalid is
// charged by this, and an announcement that repeats itself is told by it. One writer: the effects of the gossip pipeline.

import type { Hash, PeerId } from '../domain/ids.ts';
import { BoundedQueue } from '../lib/bounded-queue.ts';
import type { Clock } from '../ports/clock.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';

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
  /** `p2p_peer_map_max_size`: announcements kept; the oldest leaves first. */
  readonly maxAnnouncements: number;
  /** `p2p_peer_map_ttl`: each announcement is forgotten this long after it came. */
  readonly ttlMs: number;
}

interface Kept extends Announcement {
  readonly hash: Hash;
}

/** What is kept of one hash. */
interface Authors {
  /** In the order in which they came. */
  readonly announcements: Kept[];
  /** True once an announcement has left while one of another author stayed. */
  hasForgotten: boolean;
}

export class Attribution {
  private readonly clock: Clock;
  private readonly options: AttributionOptions;
  private readonly evicted: Counter;
  private readonly byHash = new Map<Hash, Authors>();
  /** All of them in that order, which is the order in which they expire too. */
  private readonly all: BoundedQueue<Kept>;

  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics }, options: AttributionOptions) {
    this.clock = deps.clock;
    this.options = options;
    this.evicted = deps.metrics.counter('teranode_p2p_attribution_evicted_total', 'Announcements forgotten', [
      'kind',
      'reason',
    ]);
    this.all = new BoundedQueue({
      maxItems: options.maxAnnouncements,
      onDrop: (announcement) => this.forget(announcement, 'full'),
    });
    const labels = { kind: options.kind };
    deps.metrics.gauge('teranode_p2p_attribution_entries', 'Announcements remembered', () => this.size(), labels);
    deps.metrics.gauge(
      'teranode_p2p_attribution_bound',
      'Announcements remembered at most',
      () => options.maxAnnouncements,
      labels,
    );
  }

  /** True when this author has announced this hash within the TTL. */
  knows(hash: Hash, author: PeerId): boolean {
    for (const announcement of this.byHash.get(hash)?.announcements ?? [])
      if (announcement.author === author && !this.isExpired(announcement)) return true;
    return false;
  }

  /** Announcements of a hash within the TTL, the first one first; empty when unknown. */
  announcementsOf(hash: Hash): readonly Announcement[] {
    return (this.byHash.get(hash)?.announcements ?? []).filter((announcement) => !this.isExpired(announcement));
  }

  /** True when others announced the hash too, of whom nothing more is known: who is left may not be the one to blame. */
  hasForgotten(hash: Hash): boolean {
    const authors = this.byHash.get(hash);
    if (authors === undefined) return false;
    const { announcements, hasForgotten } = authors;
    const last = announcements.at(-1)?.author;
    return hasForgotten || announcements.some((each) => each.author !== last && this.isExpired(each));
  }

  record(hash: Hash, announcement: Omit<Announcement, 'atMs'>): void {
    // What has expired leaves here already, so that it does not push out what has not.
    this.cleanUp();
    const kept = { ...announcement, hash, atMs: this.clock.monotonic() };
    const known = this.byHash.get(hash);
    if (known === undefined) this.byHash.set(hash, { announcements: [kept], hasForgotten: false });
    else known.announcements.push(kept);
    this.all.push(kept);
  }

  /** Forgets what is older than the TTL, at the cost of what it forgets; called each `p2p_peer_map_cleanup_interval`. */
  cleanUp(): void {
    for (let oldest = this.all.at(0); oldest !== undefined && this.isExpired(oldest); oldest = this.all.at(0)) {
      this.all.shift();
      this.forget(oldest, 'expired');
    }
  }

  size(): number {
    return this.all.length;
  }

  private isExpired(announcement: Announcement): boolean {
    return this.clock.monotonic() - announcement.atMs > this.options.ttlMs;
  }

  /** The oldest of all is the oldest of its hash. */
  private forget({ hash, author }: Kept, reason: 'full' | 'expired'): void {
    const authors = this.byHash.get(hash);
    authors?.announcements.shift();
    if (authors?.announcements.length === 0) this.byHash.delete(hash);
    else if (authors?.announcements.some((each) => each.author !== author)) authors.hasForgotten = true;
    this.evicted.add(1, { kind: this.options.kind, reason });
  }
}
