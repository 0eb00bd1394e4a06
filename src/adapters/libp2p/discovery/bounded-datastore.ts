// libp2p's store of peers and DHT records: in memory, and bounded. Anybody can fill it (any peer may store a provider
// record), so each kind of record has its own limit and evicts the least recently used. A lookup of the providers of a
// key lists the records below it, which an index finds without scanning the others.
import { BaseDatastore } from 'datastore-core/base';
import { Key, type KeyQuery, type Pair, type Query } from 'interface-datastore';
import { NotFoundError } from 'interface-store';
import { LRUCache } from 'lru-cache';
import type { Counter, Metrics } from '../../../ports/metrics.ts';

export interface DatastoreBounds {
  /** Entries of each kind (`/peers`, `/dht`, …). */
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** Kinds of keys; libp2p has a handful. */
const MAX_KINDS = 16;
const ENTRY_OVERHEAD_BYTES = 200;
/** Parts of `/dht/provider/<key>`, with the empty one in front. */
const DEEP_PARTS = 4;

export class BoundedDatastore extends BaseDatastore {
  private readonly kinds = new Map<string, LRUCache<string, Uint8Array>>();
  /** Stored keys by their parent path, written last at the end. */
  private readonly children = new Map<string, Set<string>>();
  private readonly evicted: Counter;
  private readonly bounds: DatastoreBounds;

  constructor(deps: { readonly metrics: Metrics }, bounds: DatastoreBounds) {
    super();
    this.bounds = bounds;
    this.evicted = deps.metrics.counter(
      'teranode_p2p_datastore_evicted_total',
      'Entries evicted from the libp2p datastore',
    );
    deps.metrics.gauge('teranode_p2p_datastore_entries', 'Entries of the libp2p datastore', () => this.size());
  }

  size(): number {
    return [...this.kinds.values()].reduce((sum, kind) => sum + kind.size, 0);
  }

  override put(key: Key, value: Uint8Array): Key {
    const text = key.toString();
    const kind = this.kindOf(key);
    kind.set(text, value);
    // A value larger than the limit of its kind is not kept.
    if (kind.has(text)) this.addToIndex(text);
    return key;
  }

  override get(key: Key): Uint8Array {
    const value = this.kindOf(key).get(key.toString());
    if (value === undefined) throw new NotFoundError();
    return value;
  }

  override has(key: Key): boolean {
    return this.kindOf(key).has(key.toString());
  }

  override delete(key: Key): void {
    this.kindOf(key).delete(key.toString());
  }

  override *_all({ prefix }: Query): Generator<Pair> {
    for (const [key, value] of this.under(prefix)) yield { key: new Key(key), value };
  }

  override *_allKeys({ prefix }: KeyQuery): Generator<Key> {
    for (const [key] of this.under(prefix)) yield new Key(key);
  }

  /** Last written first. A prefix is a path; below a deep one there are only direct children. */
  private *under(prefix: string | undefined): Generator<[string, Uint8Array]> {
    const keys = prefix === undefined || prefix.split('/').length < DEEP_PARTS ? undefined : this.children.get(prefix);
    if (keys === undefined) {
      for (const kind of this.kinds.values())
        for (const entry of kind.entries()) if (prefix === undefined || entry[0].startsWith(prefix)) yield entry;
      return;
    }
    for (const key of [...keys].reverse()) {
      const value = this.kindOf(new Key(key)).peek(key);
      if (value !== undefined) yield [key, value];
    }
  }

  private addToIndex(key: string): void {
    const path = parentOf(key);
    const keys = this.children.get(path) ?? new Set();
    this.children.set(path, keys);
    keys.delete(key);
    keys.add(key);
  }

  private removeFromIndex(key: string): void {
    const path = parentOf(key);
    const keys = this.children.get(path);
    keys?.delete(key);
    if (keys?.size === 0) this.children.delete(path);
  }

  private kindOf(key: Key): LRUCache<string, Uint8Array> {
    const name = this.kinds.size < MAX_KINDS ? (key.list()[0] ?? '') : '';
    let kind = this.kinds.get(name);
    if (kind === undefined) {
      kind = new LRUCache({
        max: this.bounds.maxEntries,
        maxSize: this.bounds.maxBytes,
        sizeCalculation: (value) => value.byteLength + ENTRY_OVERHEAD_BYTES,
        dispose: (_value, key, reason) => {
          if (reason === 'evict') this.evicted.add();
          if (reason !== 'set') this.removeFromIndex(key);
        },
      });
      this.kinds.set(name, kind);
    }
    return kind;
  }
}

function parentOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/'));
}
