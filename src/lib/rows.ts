// Rows of 32-bit words in one array: tables of a million small entries without an object for each. Rows are numbered;
// the number of a released row is used again.

export interface RowsOptions {
  /** 32-bit words per row. */
  readonly width: number;
  readonly maxRows: number;
}

/** Rows of a new table; it doubles when they are used up, and never has more than `maxRows`. */
const FIRST_ROWS = 64;
const NONE = -1;

export class Rows {
  readonly width: number;
  /** Row n begins at word n * `width`. Another array after the table has grown. */
  words: Int32Array;
  private readonly maxRows: number;
  /** The row released last; its first word names the one released before it. */
  private released = NONE;
  /** Rows from here on were never used. */
  private next = 0;
  private used = 0;

  constructor({ width, maxRows }: RowsOptions) {
    this.width = width;
    this.maxRows = maxRows;
    this.words = new Int32Array(width * Math.min(FIRST_ROWS, maxRows));
  }

  /** Rows in use. */
  get size(): number {
    return this.used;
  }

  /** Rows that fit without growing. */
  get capacity(): number {
    return this.words.length / this.width;
  }

  /** A free row, with whatever words it had. Throws RangeError when all are in use. */
  take(): number {
    let row = this.released;
    if (row === NONE) {
      if (this.next === this.maxRows) throw new RangeError(`at most ${this.maxRows} rows`);
      if (this.next === this.capacity) this.grow();
      row = this.next;
      this.next += 1;
    } else {
      this.released = this.words[row * this.width] as number;
    }
    this.used += 1;
    return row;
  }

  release(row: number): void {
    this.words[row * this.width] = this.released;
    this.released = row;
    this.used -= 1;
  }

  /** Releases all rows and keeps the memory. */
  clear(): void {
    this.released = NONE;
    this.next = 0;
    this.used = 0;
  }

  private grow(): void {
    const words = new Int32Array(this.width * Math.min(this.maxRows, 2 * this.capacity));
    words.set(this.words);
    this.words = words;
  }
}
