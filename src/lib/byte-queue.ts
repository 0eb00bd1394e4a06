// A bounded first-in first-out queue of byte strings, copied into chunks: a small record does not keep the buffer that
// it was cut from, nor an object of its own. When the queue is full, the oldest record is dropped and reported.

export interface ByteQueueOptions {
  readonly maxRecords: number;
  /** Bound on the sum of lengths and `overheadBytes` of each; a record over it is dropped at once. */
  readonly maxBytes: number;
  readonly overheadBytes: number;
  readonly onDrop: () => void;
}

interface Chunk {
  readonly bytes: Uint8Array;
  /** Where each of its records ends. */
  readonly ends: number[];
  /** Number of its first record, counted from the first that was ever pushed. */
  readonly first: number;
}

/** A longer record has a chunk of its own. */
const CHUNK_BYTES = 64 * 1024;

export class ByteQueue {
  private readonly options: ByteQueueOptions;
  private readonly chunks: Chunk[] = [];
  /** Records dropped, and records ever pushed. */
  private dropped = 0;
  private pushed = 0;
  private size = 0;

  constructor(options: ByteQueueOptions) {
    this.options = options;
  }

  get length(): number {
    return this.pushed - this.dropped;
  }

  /** Sum of lengths, with the overhead of each. */
  get bytes(): number {
    return this.size;
  }

  push(record: Uint8Array): void {
    const { maxRecords, maxBytes, overheadBytes } = this.options;
    const chunk = this.chunkFor(record.length);
    const start = chunk.ends.at(-1) ?? 0;
    chunk.bytes.set(record, start);
    chunk.ends.push(start + record.length);
    this.pushed += 1;
    this.size += record.length + overheadBytes;
    while (this.length > maxRecords || this.size > maxBytes) this.dropOldest();
  }

  /** A copy of the record at `index` from the oldest. */
  at(index: number): Uint8Array | undefined {
    if (index < 0 || index >= this.length) return undefined;
    const number = this.dropped + index;
    let [low, high] = [0, this.chunks.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.chunks[middle] as Chunk).first <= number) low = middle;
      else high = middle - 1;
    }
    const chunk = this.chunks[low] as Chunk;
    return chunk.bytes.slice(...bordersOf(chunk, number));
  }

  /** Reports it as when the queue is full. */
  dropOldest(): void {
    const [oldest] = this.chunks;
    if (oldest === undefined) return;
    const [start, end] = bordersOf(oldest, this.dropped);
    this.size -= end - start + this.options.overheadBytes;
    this.dropped += 1;
    if (this.dropped === oldest.first + oldest.ends.length) this.chunks.shift();
    this.options.onDrop();
  }

  private chunkFor(bytes: number): Chunk {
    const newest = this.chunks.at(-1);
    if (newest !== undefined && (newest.ends.at(-1) ?? 0) + bytes <= newest.bytes.length) return newest;
    const chunk = { bytes: new Uint8Array(Math.max(bytes, CHUNK_BYTES)), ends: [], first: this.pushed };
    this.chunks.push(chunk);
    return chunk;
  }
}

function bordersOf({ ends, first }: Chunk, number: number): [start: number, end: number] {
  return [ends[number - first - 1] ?? 0, ends[number - first] as number];
}
