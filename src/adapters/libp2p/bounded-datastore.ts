// Where libp2p keeps what it learns of peers and DHT records: in memory, bounded. Strangers fill it (anyone may store a provider record), so
// each kind has a bound of its own and loses what was used longest ago.
import { BaseDatastore } from 'datastore-core/base';
import { Key, type KeyQuery, type Pair, type Query } from 'interface-datastore';
import { NotFoundError } from 'interface-store';
import { LRUCache } from 'lru-cache';
import type { Counter, Metrics } from '../../ports/metrics.ts';

export interface DatastoreBounds {
  /** Of each kind (`/peers`, `/dht`, …). */
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** Kinds of keys; libp2p knows a handful. */
const MAX_KINDS = 16;
const ENTRY_OVERHEAD_BYTES = 200;

export class BoundedDatastore extends BaseDatastore {
  private readonly kinds = new Map<string, LRUCache<string, Uint8Array>>();
  private readonly evicted: Counter;
  private readonly bounds: DatastoreBounds;

  constructor(deps: { readonly metrics: Metrics }, bounds: DatastoreBounds) {
    super();
    this.bounds = bounds;
    this.evicted = deps.metrics.counter(
      'teranode_p2p_datastore_evicted_total',
      'Entries of the libp2p datastore pushed out',
    );
    deps.metrics.gauge('teranode_p2p_datastore_entries', 'Entries of the libp2p datastore', () => this.size());
  }

  size(): number {
    return [...this.kinds.values()].reduce((sum, kind) => sum + kind.size, 0);
  }

  override put(key: Key, value: Uint8Array): Key {
    this.kindOf(key).set(key.toString(), value);
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

  override *_all(_query: Query): Generator<Pair> {
    for (const kind of this.kinds.values())
      for (const [key, value] of kind.entries()) yield { key: new Key(key), value };
  }

  override *_allKeys(_query: KeyQuery): Generator<Key> {
    for (const kind of this.kinds.values()) for (const key of kind.keys()) yield new Key(key);
  }

  private kindOf(key: Key): LRUCache<string, Uint8Array> {
    const name = this.kinds.size < MAX_KINDS ? (key.list()[0] ?? '') : '';
    let kind = this.kinds.get(name);
    if (kind === undefined) {
      kind = new LRUCache({
        max: this.bounds.maxEntries,
        maxSize: this.bounds.maxBytes,
        sizeCalculation: (value) => value.byteLength + ENTRY_OVERHEAD_BYTES,
        dispose: (_value, _key, reason) => {
          if (reason === 'evict') this.evicted.add();
        },
      });
      this.kinds.set(name, kind);
    }
    return kind;
  }
}
