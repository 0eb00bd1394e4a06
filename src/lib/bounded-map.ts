// A map that never grows beyond its bound: the entry that was set longest ago leaves. Reading does not renew an entry;
// setting it does.
import { LRUCache } from 'lru-cache';

export interface BoundedMapOptions<K, V> {
  readonly max: number;
  /** Called for what leaves because the map is full; not for what is deleted or set anew. */
  readonly onEvict?: (key: K, value: V) => void;
}

export class BoundedMap<K extends {}, V extends {}> {
  readonly max: number;
  private readonly entries: LRUCache<K, V>;

  constructor({ max, onEvict }: BoundedMapOptions<K, V>) {
    this.max = max;
    this.entries = new LRUCache<K, V>({
      max,
      ...(onEvict === undefined
        ? {}
        : { dispose: (value, key, reason) => (reason === 'evict' ? onEvict(key, value) : undefined) }),
    });
  }

  get size(): number {
    return this.entries.size;
  }

  has(key: K): boolean {
    return this.entries.has(key);
  }

  get(key: K): V | undefined {
    return this.entries.peek(key);
  }

  set(key: K, value: V): void {
    this.entries.set(key, value);
  }

  delete(key: K): boolean {
    return this.entries.delete(key);
  }

  clear(): void {
    this.entries.clear();
  }

  /** The entry set longest ago first; entries may be deleted meanwhile. */
  *oldestFirst(): Generator<[key: K, value: V], void> {
    for (const key of [...this.entries.rkeys()]) {
      const value = this.entries.peek(key);
      if (value !== undefined) yield [key, value];
    }
  }
}
