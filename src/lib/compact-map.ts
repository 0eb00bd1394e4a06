// A map from keys of a fixed number of 32-bit words to values of another, in typed arrays: open addressing over rows.
// An entry takes its own words and 8 to 16 bytes. Where a key stands follows from a keyed hash: a peer that chooses keys
// cannot make look-ups slow.
import { KeyedHash } from './keyed-hash.ts';
import { Rows } from './rows.ts';

export interface CompactMapOptions {
  /** Words of a key. */
  readonly keyWords: number;
  /** Words of a value; 0 for a set. */
  readonly valueWords: number;
  readonly maxEntries: number;
  /** True when the first word of a key is already a keyed hash. */
  readonly hasHashedKeys?: boolean;
}

const NONE = -1;
const FIRST_SLOTS = 128;
/** A slot holds a row's number plus this; 0 is an empty slot. */
const USED = 1;

export class CompactMap {
  /** Rows of key, then value. */
  readonly rows: Rows;
  private readonly keyWords: number;
  private readonly hash: KeyedHash | undefined;
  /** Always a power of two, and never more than half full. */
  private slots = new Int32Array(FIRST_SLOTS);

  constructor({ keyWords, valueWords, maxEntries, hasHashedKeys = false }: CompactMapOptions) {
    this.rows = new Rows({ width: keyWords + valueWords, maxRows: maxEntries });
    this.keyWords = keyWords;
    this.hash = hasHashedKeys ? undefined : new KeyedHash();
  }

  get size(): number {
    return this.rows.size;
  }

  /** Row of the key; -1 when it is not in the map. */
  find(key: Int32Array): number {
    const mask = this.slots.length - 1;
    for (let slot = this.home(key, 0); ; slot = (slot + 1) & mask) {
      const row = (this.slots[slot] as number) - USED;
      if (row === NONE || this.hasKey(row, key)) return row;
    }
  }

  /** Adds a key that is not in the map; returns its row, whose value is all 0. Throws RangeError when the map is full. */
  add(key: Int32Array): number {
    const row = this.rows.take();
    if (this.rows.size * 2 > this.slots.length) this.grow();
    const { words, width } = this.rows;
    const at = row * width;
    for (let i = 0; i < width; i += 1) words[at + i] = i < this.keyWords ? (key[i] as number) : 0;
    this.place(row);
    return row;
  }

  /** Word `index` of the value in a row. */
  value(row: number, index: number): number {
    return this.rows.words[row * this.rows.width + this.keyWords + index] as number;
  }

  setValue(row: number, index: number, word: number): void {
    this.rows.words[row * this.rows.width + this.keyWords + index] = word;
  }

  /** Removes the entry of a row. */
  delete(row: number): void {
    const mask = this.slots.length - 1;
    let hole = this.homeOf(row);
    while (this.slots[hole] !== row + USED) hole = (hole + 1) & mask;
    // Entries behind the hole move up, unless they would then stand before their home.
    for (let slot = (hole + 1) & mask; this.slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.homeOf((this.slots[slot] as number) - USED);
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      this.slots[hole] = this.slots[slot] as number;
      hole = slot;
    }
    this.slots[hole] = 0;
    this.rows.release(row);
  }

  /** Removes everything and keeps the memory. */
  clear(): void {
    this.slots.fill(0);
    this.rows.clear();
  }

  private hasKey(row: number, key: Int32Array): boolean {
    const { words, width } = this.rows;
    const at = row * width;
    for (let i = 0; i < this.keyWords; i += 1) if (words[at + i] !== key[i]) return false;
    return true;
  }

  private homeOf(row: number): number {
    return this.home(this.rows.words, row * this.rows.width);
  }

  /** The slot where the search for a key begins. */
  private home(words: Int32Array, at: number): number {
    const mask = this.slots.length - 1;
    if (this.hash === undefined) return (words[at] as number) & mask;
    this.hash.update(words, at, this.keyWords * Int32Array.BYTES_PER_ELEMENT);
    return this.hash.low & mask;
  }

  private place(row: number): void {
    const mask = this.slots.length - 1;
    let slot = this.homeOf(row);
    while (this.slots[slot] !== 0) slot = (slot + 1) & mask;
    this.slots[slot] = row + USED;
  }

  /** Called with one row taken that has no slot yet. */
  private grow(): void {
    const rows = this.slots.filter((slot) => slot !== 0);
    this.slots = new Int32Array(2 * this.slots.length);
    for (const row of rows) this.place(row - USED);
  }
}
