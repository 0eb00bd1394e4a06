// Percentiles of the delays of the last minute, in ms: counts in buckets that grow by a fifth, by slices of time. Nothing
// is allocated per delay.

const SLICES = 6;
/** Each bucket ends a fifth above the one before, so that a percentile is at most a fifth too high or too low. */
const GROWTH = 1.2;

export class DelayWindow {
  private readonly sliceMs: number;
  private readonly maxMs: number;
  /** Upper ends of the buckets in ms; the first bucket is 0 ms alone. */
  private readonly ends: readonly number[];
  /** The bucket of each whole number of ms. */
  private readonly bucketOf: Uint8Array;
  private readonly counts: Uint32Array;
  private readonly sliceAt = new Float64Array(SLICES).fill(Number.NEGATIVE_INFINITY);

  /** Delays above `maxMs` count as `maxMs`. */
  constructor(options: { readonly windowMs: number; readonly maxMs: number }) {
    this.sliceMs = options.windowMs / SLICES;
    this.maxMs = options.maxMs;
    const ends = [0];
    for (let end = 1; end < options.maxMs; end = Math.max(end + 1, Math.floor(end * GROWTH))) ends.push(end);
    ends.push(options.maxMs);
    this.ends = ends;
    this.counts = new Uint32Array(SLICES * ends.length);
    this.bucketOf = new Uint8Array(options.maxMs + 1);
    for (let ms = 1, bucket = 1; ms <= options.maxMs; ms += 1) {
      if (ms > (ends[bucket] as number)) bucket += 1;
      this.bucketOf[ms] = bucket;
    }
  }

  add(delayMs: number, nowMs: number): void {
    const slice = Math.floor(nowMs / this.sliceMs);
    const at = slice % SLICES;
    const width = this.ends.length;
    if (this.sliceAt[at] !== slice) {
      this.sliceAt[at] = slice;
      this.counts.fill(0, at * width, (at + 1) * width);
    }
    const ms = Math.min(Math.max(Math.round(delayMs), 0), this.maxMs);
    const slot = at * width + (this.bucketOf[ms] as number);
    this.counts[slot] = (this.counts[slot] as number) + 1;
  }

  /** The number of delays in the window, and a function for their percentiles from 0 to 1. */
  read(nowMs: number): { readonly count: number; percentile(share: number): number | undefined } {
    const oldest = Math.floor(nowMs / this.sliceMs) - SLICES;
    const sums = this.ends.map((_end, bucket) => {
      let sum = 0;
      for (let at = 0; at < SLICES; at += 1)
        if ((this.sliceAt[at] as number) > oldest) sum += this.counts[at * this.ends.length + bucket] as number;
      return sum;
    });
    const count = sums.reduce((total, sum) => total + sum, 0);
    return { count, percentile: (share) => (count === 0 ? undefined : this.percentile(sums, share * count)) };
  }

  /** Within its bucket, delays are taken to be spread evenly. */
  private percentile(sums: readonly number[], rank: number): number {
    let below = 0;
    for (const [bucket, sum] of sums.entries()) {
      if (sum > 0 && below + sum >= rank) {
        const end = this.ends[bucket] as number;
        const start = bucket === 0 ? 0 : (this.ends[bucket - 1] as number);
        return start + ((end - start) * Math.max(0, rank - below)) / sum;
      }
      below += sum;
    }
    return this.maxMs;
  }
}
