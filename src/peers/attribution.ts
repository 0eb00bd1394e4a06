// Attribution: which authors announced a hash, first announcement first (spec: blockPeerMap, subtreePeerMap). It
// decides who is penalized when content proves invalid, and recognises repeated announcements. One writer: the effects
// of the gossip pipeline. An announcement takes 80 bytes, and the texts that announcements share are kept once.
import { hash as digest } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Hash, PeerId } from '../domain/ids.ts';
import { CompactMap } from '../lib/compact-map.ts';
import { Interned } from '../lib/interned.ts';
import { Rows } from '../lib/rows.ts';
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

const HASH_BYTES = 32;
const NONE = -1;
/** Words of what is kept of a hash: its oldest and newest announcement, … */
const [OLDEST, NEWEST] = [0, 1];
/** … and 1 once an announcement was evicted while one of another author stayed. */
const HAS_FORGOTTEN = 2;
/**
 * Words of an announcement: the row of its hash, the numbers of its texts, and the next younger announcement of the
 * hash and of all.
 */
const [HASH, AUTHOR, RECEIVED_FROM, URL_KEY, NEXT_OF_HASH, NEXT] = [0, 1, 2, 3, 4, 5];
const WIDTH = 6;

export class Attribution {
  private readonly clock: Clock;
  private readonly options: AttributionOptions;
  private readonly evicted: Counter;
  private readonly hashes: CompactMap;
  private readonly announcements: Rows;
  /** Monotonic ms, by row. */
  private times = new Float64Array();
  /** Of all announcements, in the order of their age, which is also that of expiry. */
  private oldest = NONE;
  private newest = NONE;
  private readonly peerIds = new Interned();
  private readonly urlKeys = new Interned();
  /** The hash that is looked up, as bytes and as words. */
  private readonly hashWords = new Int32Array(HASH_BYTES / Int32Array.BYTES_PER_ELEMENT);
  private readonly hashBytes = Buffer.from(this.hashWords.buffer);
  /** The last URL of each author. */
  private readonly urls = new LRUCache<PeerId, { readonly url: string; readonly key: string }>({ max: MAX_URLS });

  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics }, options: AttributionOptions) {
    this.clock = deps.clock;
    this.options = options;
    this.evicted = deps.metrics.counter(
      'teranode_p2p_attribution_evicted_total',
      'Announcements evicted from attribution',
      ['kind', 'reason'],
    );
    const { maxAnnouncements } = options;
    // The oldest leaves after the newest has come: what is known of their hash stays if it is the same.
    const maxRows = maxAnnouncements + 1;
    this.hashes = new CompactMap({ keyWords: this.hashWords.length, valueWords: 3, maxEntries: maxRows });
    this.announcements = new Rows({ width: WIDTH, maxRows });
    const labels = { kind: options.kind };
    const gauge = { name: 'teranode_p2p_attribution_entries', boundName: 'teranode_p2p_attribution_bound', labels };
    gaugeWithBound(
      deps.metrics,
      { ...gauge, help: 'Announcements remembered for attribution' },
      () => this.size(),
      maxAnnouncements,
    );
  }

  /** True when this author has announced this hash within the TTL. */
  knows(hash: Hash, author: PeerId): boolean {
    const number = this.peerIds.find(author);
    if (number === NONE) return false;
    for (let row = this.oldestOf(hash); row !== NONE; row = this.word(row, NEXT_OF_HASH))
      if (this.word(row, AUTHOR) === number && !this.isExpired(row)) return true;
    return false;
  }

  /** Announcements of a hash within the TTL, oldest first; empty when the hash is unknown. */
  announcementsOf(hash: Hash): readonly Announcement[] {
    const found: Announcement[] = [];
    for (let row = this.oldestOf(hash); row !== NONE; row = this.word(row, NEXT_OF_HASH))
      if (!this.isExpired(row))
        found.push({
          author: this.peerIds.text(this.word(row, AUTHOR)) as PeerId,
          receivedFrom: this.peerIds.text(this.word(row, RECEIVED_FROM)) as PeerId,
          urlKey: this.urlKeys.text(this.word(row, URL_KEY)),
          atMs: this.times[row] as number,
        });
    return found;
  }

  /** True when announcements by other authors were evicted: the remaining author may not be the one at fault. */
  hasForgotten(hash: Hash): boolean {
    const known = this.find(hash);
    if (known === NONE) return false;
    if (this.hashes.value(known, HAS_FORGOTTEN) === 1) return true;
    const last = this.word(this.hashes.value(known, NEWEST), AUTHOR);
    for (let row = this.hashes.value(known, OLDEST); row !== NONE; row = this.word(row, NEXT_OF_HASH))
      if (this.word(row, AUTHOR) !== last && this.isExpired(row)) return true;
    return false;
  }

  /** True for the first announcement of the hash within the TTL. */
  record(hash: Hash, { author, receivedFrom, dataHubUrl }: RecordedAnnouncement): boolean {
    // Expired announcements are removed first, so that they do not evict live ones.
    this.cleanUp();
    const row = this.announcements.take();
    if (row >= this.times.length) this.growTimes();
    this.times[row] = this.clock.monotonic();
    let known = this.find(hash);
    const isFirst = known === NONE;
    if (isFirst) {
      known = this.hashes.add(this.hashWords);
      this.hashes.setValue(known, OLDEST, row);
    } else {
      this.setWord(this.hashes.value(known, NEWEST), NEXT_OF_HASH, row);
    }
    this.hashes.setValue(known, NEWEST, row);
    this.setWord(row, HASH, known);
    this.setWord(row, AUTHOR, this.peerIds.take(author));
    this.setWord(row, RECEIVED_FROM, this.peerIds.take(receivedFrom));
    this.setWord(row, URL_KEY, this.urlKeys.take(this.keyOf(author, dataHubUrl)));
    this.setWord(row, NEXT_OF_HASH, NONE);
    this.setWord(row, NEXT, NONE);
    if (this.oldest === NONE) this.oldest = row;
    else this.setWord(this.newest, NEXT, row);
    this.newest = row;
    if (this.size() > this.options.maxAnnouncements) this.forgetOldest('full');
    return isFirst;
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
    while (this.oldest !== NONE && this.isExpired(this.oldest)) this.forgetOldest('expired');
  }

  size(): number {
    return this.announcements.size;
  }

  private isExpired(row: number): boolean {
    return this.clock.monotonic() - (this.times[row] as number) > this.options.ttlMs;
  }

  /** The oldest of all is the oldest of its hash too. */
  private forgetOldest(reason: 'full' | 'expired'): void {
    const row = this.oldest;
    this.oldest = this.word(row, NEXT);
    if (this.oldest === NONE) this.newest = NONE;
    const known = this.word(row, HASH);
    const author = this.word(row, AUTHOR);
    const nextOfHash = this.word(row, NEXT_OF_HASH);
    if (nextOfHash === NONE) {
      this.hashes.delete(known);
    } else {
      this.hashes.setValue(known, OLDEST, nextOfHash);
      if (this.hasOtherAuthor(nextOfHash, author)) this.hashes.setValue(known, HAS_FORGOTTEN, 1);
    }
    this.peerIds.release(author);
    this.peerIds.release(this.word(row, RECEIVED_FROM));
    this.urlKeys.release(this.word(row, URL_KEY));
    this.announcements.release(row);
    this.evicted.add(1, { kind: this.options.kind, reason });
  }

  /** Whether an announcement from `row` on, of one hash, is of another author. */
  private hasOtherAuthor(from: number, author: number): boolean {
    for (let row = from; row !== NONE; row = this.word(row, NEXT_OF_HASH))
      if (this.word(row, AUTHOR) !== author) return true;
    return false;
  }

  private oldestOf(hash: Hash): number {
    const known = this.find(hash);
    return known === NONE ? NONE : this.hashes.value(known, OLDEST);
  }

  /** Row of a hash, which `hashWords` holds afterwards. */
  private find(hash: Hash): number {
    // A text that is not the hex form of a hash is found by its digest.
    if (hash.length !== 2 * HASH_BYTES || this.hashBytes.write(hash, 'hex') !== HASH_BYTES)
      this.hashBytes.set(digest('sha256', hash, 'buffer'));
    return this.hashes.find(this.hashWords);
  }

  private word(row: number, index: number): number {
    return this.announcements.words[row * WIDTH + index] as number;
  }

  private setWord(row: number, index: number, word: number): void {
    this.announcements.words[row * WIDTH + index] = word;
  }

  private growTimes(): void {
    const times = new Float64Array(this.announcements.capacity);
    times.set(this.times);
    this.times = times;
  }
}
