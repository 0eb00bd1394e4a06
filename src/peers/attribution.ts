// Attribution: which authors announced a hash, first announcement first (spec: blockPeerMap, subtreePeerMap). It
// decides who is penalized when content proves invalid, and recognises repeated announcements. One writer: the effects
// of the gossip pipeline.

import { LRUCache } from 'lru-cache';
import type { Hash, PeerId } from '../domain/ids.ts';
import { BoundedQueue } from '../lib/bounded-queue.ts';
import type { Clock } from '../ports/clock.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../ports/metrics.ts';
import { urlKey } from '../wire/url-key.ts';

/** One announcement of a hash. */
export interface Announcement {
  /** The peer that signed it. */
  readonly author: PeerId;
  /** The propagation source: the neighbour that sent it to us. */
  readonly receivedFrom: PeerId;
  /** `urlKey` of the DataHub URL. */
  readonly urlKey: string;
  /** Monotonic ms. */
  readonly atMs: number;
}

export interface AttributionOptions {
  /** `block` or `subtree`, for the metrics. */
  readonly kind: 'block' | 'subtree';
  /** `p2p_peer_map_max_size`: maximum number of announcements; the oldest is evicted first. */
  readonly maxAnnouncements: number;
  /** `p2p_peer_map_ttl`: lifetime of an announcement. */
  readonly ttlMs: number;
}

/** What is recorded of an announcement. */
export type RecordedAnnouncement = Pick<Announcement, 'author' | 'receivedFrom'> & { readonly dataHubUrl: string };

/** Authors whose URL is remembered, of at most 2,048 characters. */
const MAX_URLS = 2000;

interface Kept extends Announcement {
  readonly hash: Hash;
}

/** The announcements of one hash. */
interface Authors {
  /** Oldest first. */
  readonly announcements: Kept[];
  /** True once an announcement was evicted while one of another author stayed. */
  hasForgotten: boolean;
}

export class Attribution {
  private readonly clock: Clock;
  private readonly options: AttributionOptions;
  private readonly evicted: Counter;
  private readonly byHash = new Map<Hash, Authors>();
  /** The last URL of each author. */
  private readonly urls = new LRUCache<PeerId, { readonly url: string; readonly key: string }>({ max: MAX_URLS });
  /** All announcements, oldest first, which is also the order of expiry. */
  private readonly all: BoundedQueue<Kept>;

  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics }, options: AttributionOptions) {
    this.clock = deps.clock;
    this.options = options;
    this.evicted = deps.metrics.counter(
      'teranode_p2p_attribution_evicted_total',
      'Announcements evicted from attribution',
      ['kind', 'reason'],
    );
    this.all = new BoundedQueue({
      maxItems: options.maxAnnouncements,
      onDrop: (announcement) => this.forget(announcement, 'full'),
    });
    const labels = { kind: options.kind };
    const gauge = { name: 'teranode_p2p_attribution_entries', boundName: 'teranode_p2p_attribution_bound', labels };
    gaugeWithBound(
      deps.metrics,
      { ...gauge, help: 'Announcements remembered for attribution' },
      () => this.size(),
      options.maxAnnouncements,
    );
  }

  /** True when this author has announced this hash within the TTL. */
  knows(hash: Hash, author: PeerId): boolean {
    for (const announcement of this.byHash.get(hash)?.announcements ?? [])
      if (announcement.author === author && !this.isExpired(announcement)) return true;
    return false;
  }

  /** Announcements of a hash within the TTL, oldest first; empty when the hash is unknown. */
  announcementsOf(hash: Hash): readonly Announcement[] {
    return (this.byHash.get(hash)?.announcements ?? []).filter((announcement) => !this.isExpired(announcement));
  }

  /** True when announcements by other authors were evicted: the remaining author may not be the one at fault. */
  hasForgotten(hash: Hash): boolean {
    const authors = this.byHash.get(hash);
    if (authors === undefined) return false;
    const { announcements, hasForgotten } = authors;
    const last = announcements.at(-1)?.author;
    return hasForgotten || announcements.some((each) => each.author !== last && this.isExpired(each));
  }

  record(hash: Hash, { author, receivedFrom, dataHubUrl }: RecordedAnnouncement): void {
    // Expired announcements are removed first, so that they do not evict live ones.
    this.cleanUp();
    const key = this.keyOf(author, dataHubUrl);
    const kept = { hash, author, receivedFrom, urlKey: key, atMs: this.clock.monotonic() };
    const known = this.byHash.get(hash);
    if (known === undefined) this.byHash.set(hash, { announcements: [kept], hasForgotten: false });
    else known.announcements.push(kept);
    this.all.push(kept);
  }

  /** The same text for all announcements of an author with one URL. */
  private keyOf(author: PeerId, url: string): string {
    const known = this.urls.get(author);
    if (known?.url === url) return known.key;
    const key = urlKey(url);
    this.urls.set(author, { url, key });
    return key;
  }

  /** Removes expired announcements; costs only what it removes. Called every `p2p_peer_map_cleanup_interval`. */
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

  /** Called in age order, so the announcement is the oldest of its hash too. */
  private forget({ hash, author }: Kept, reason: 'full' | 'expired'): void {
    const authors = this.byHash.get(hash);
    authors?.announcements.shift();
    if (authors?.announcements.length === 0) this.byHash.delete(hash);
    else if (authors?.announcements.some((each) => each.author !== author)) authors.hasForgotten = true;
    this.evicted.add(1, { kind: this.options.kind, reason });
  }
}
