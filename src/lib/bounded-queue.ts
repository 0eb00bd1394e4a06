// A first-in first-out queue that never grows beyond its bound: when it is full, the oldest item is dropped and
// reported.

export interface BoundedQueueOptions<T> {
  readonly maxItems: number;
  /** With `sizeOf`: a bound on the sum of sizes. One item over it is dropped at once. */
  readonly maxBytes?: number;
  readonly sizeOf?: (item: T) => number;
  readonly onDrop?: (item: T) => void;
}

/** Below this many taken items the array is not cut. */
const COMPACT_AT = 1024;

export class BoundedQueue<T> {
  private readonly options: BoundedQueueOptions<T>;
  private items: (T | undefined)[] = [];
  private head = 0;
  private size = 0;

  constructor(options: BoundedQueueOptions<T>) {
    this.options = options;
  }

  get length(): number {
    return this.items.length - this.head;
  }

  /** Sum of sizes; 0 without `sizeOf`. */
  get bytes(): number {
    return this.size;
  }

  push(item: T): void {
    this.items.push(item);
    this.size += this.sizeOf(item);
    while (this.length > this.options.maxItems || this.size > (this.options.maxBytes ?? Number.POSITIVE_INFINITY)) {
      const oldest = this.shift();
      if (oldest === undefined) return;
      this.options.onDrop?.(oldest);
    }
  }

  /** The oldest item; undefined when empty. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.items[this.head] as T;
    this.items[this.head] = undefined;
    this.head += 1;
    this.size -= this.sizeOf(item);
    if (this.head >= COMPACT_AT && this.head * 2 >= this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }

  /** Puts an item that was taken back in front, whatever the bound. */
  unshift(item: T): void {
    this.size += this.sizeOf(item);
    if (this.head > 0) {
      this.head -= 1;
      this.items[this.head] = item;
    } else {
      this.items.unshift(item);
    }
  }

  /** The item at `index` from the oldest. */
  at(index: number): T | undefined {
    return this.items[this.head + index];
  }

  private sizeOf(item: T): number {
    return this.options.sizeOf?.(item) ?? 0;
  }
}
