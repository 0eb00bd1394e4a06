// How many authors' announcements of the same hash go to Kafka: one table for all networks. Several are passed, because
// the first author may not serve what it announced; all would make the node's services fetch the same again and again.
import { LRUCache } from 'lru-cache';
import type { Hash, PeerId } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import { type ReportSize, unreported } from './report-size.ts';

export interface SeenHashOptions {
  /** `p2p_seen_hash_max_publishers`: distinct authors of a hash in a window of 15 s. */
  readonly maxPublishers: number;
  /** `p2p_seen_hash_ttl`: how long a hash is remembered after its first announcement. */
  readonly ttlMs: number;
  /** `p2p_seen_hash_max_size`: hashes remembered; the least recently announced is evicted. */
  readonly maxSize: number;
}

export type SeenKind = 'block' | 'subtree';

interface Seen {
  /** Monotonic ms. */
  readonly firstMs: number;
  windowMs: number;
  inWindow: number;
  /** Authors that had their turn; few, so an array takes less memory than a set. */
  readonly authors: PeerId[];
}

const WINDOW_MS = 15_000;

export class SeenHashes {
  private readonly clock: Clock;
  private readonly options: SeenHashOptions;
  private readonly hashes: LRUCache<string, Seen>;

  constructor(clock: Clock, options: SeenHashOptions, reportSize: ReportSize = unreported) {
    this.clock = clock;
    this.options = options;
    this.hashes = new LRUCache({ max: options.maxSize });
    reportSize('seen_hashes', () => this.hashes.size, options.maxSize);
  }

  /** Takes a turn. False when the author had one for this hash, or enough other authors had one in this window. */
  take(kind: SeenKind, hash: Hash, author: PeerId): boolean {
    const seen = this.seen(`${kind} ${hash}`);
    const nowMs = this.clock.monotonic();
    if (nowMs - seen.windowMs >= WINDOW_MS) {
      seen.windowMs = nowMs;
      seen.inWindow = 0;
    }
    if (seen.authors.includes(author) || seen.inWindow >= this.options.maxPublishers) return false;
    seen.inWindow += 1;
    seen.authors.push(author);
    return true;
  }

  /** Returns the turn of an announcement that did not reach Kafka. */
  giveBack(kind: SeenKind, hash: Hash, author: PeerId): void {
    const seen = this.hashes.get(`${kind} ${hash}`);
    const at = seen?.authors.indexOf(author) ?? -1;
    if (seen === undefined || at < 0) return;
    seen.authors.splice(at, 1);
    seen.inWindow = Math.max(0, seen.inWindow - 1);
  }

  private seen(key: string): Seen {
    const nowMs = this.clock.monotonic();
    const known = this.hashes.get(key);
    if (known !== undefined && nowMs - known.firstMs < this.options.ttlMs) return known;
    const seen: Seen = { firstMs: nowMs, windowMs: nowMs, inWindow: 0, authors: [] };
    this.hashes.set(key, seen);
    return seen;
  }
}
