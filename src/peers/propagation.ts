// How blocks and subtrees spread: delays of later copies behind the first delivery, ages of blocks by their header, and
// the latest announcements with who delivered them when. The latest stand in slots that are used again, so that a
// message allocates nothing.
import type { Hash, PeerId } from '../domain/ids.ts';
import { DelayWindow } from '../lib/delay-window.ts';
import type { Clock } from '../ports/clock.ts';
import { gaugeWithBound, type Histogram, type Metrics } from '../ports/metrics.ts';
import {
  type FirstAnnouncement,
  MAX_COPIES,
  MAX_SPREAD_ROWS,
  SPREAD_WINDOW_MS,
  type Spread,
  type SpreadRow,
} from '../ports/propagation.ts';

/** A copy that comes later than this says nothing of the way that it took. */
const MAX_DELAY_MS = 10_000;
/** Seconds. */
const COPY_BUCKETS = [1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10];
/** Seconds. 0: the miner's clock is ahead of ours, or the block took less than a second. */
const AGE_BUCKETS = [0, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 7200];
/** The clock error that Bitcoin tolerates. An older block is announced by a peer that catches up. */
const MAX_AGE_MS = 2 * 3_600_000;

interface Slot {
  announcement: FirstAnnouncement;
  atMs: number;
  /** Two halves of a keyed hash of the message's ID. */
  low: number;
  high: number;
  copyCount: number;
  readonly neighbours: PeerId[];
  readonly delays: Int32Array;
}

const NOTHING: FirstAnnouncement = {
  type: 'attribute_block',
  hash: '' as Hash,
  author: '' as PeerId,
  receivedFrom: '' as PeerId,
  height: undefined,
  headerTime: undefined,
};

export class Propagation {
  private readonly clock: Clock;
  private readonly copyDelays: Histogram;
  private readonly blockAges: Histogram;
  private readonly window = new DelayWindow({ windowMs: SPREAD_WINDOW_MS, maxMs: MAX_DELAY_MS });
  private readonly blocks = slots();
  private readonly subtrees = slots();
  private blockCount = 0;
  private subtreeCount = 0;
  /** The slot of the last first announcement. */
  private latest: Slot | undefined;

  constructor({ clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.clock = clock;
    this.copyDelays = metrics.histogram(
      'teranode_p2p_copy_delay_seconds',
      'Delay of repeated deliveries of valid blocks and subtrees behind the first delivery of the same message',
      COPY_BUCKETS,
    );
    this.blockAges = metrics.histogram(
      'teranode_p2p_block_header_age_seconds',
      'Age of blocks at their first announcement, by the time in their header (whole seconds of the miner’s clock)',
      AGE_BUCKETS,
    );
    const gauge = { name: 'teranode_p2p_spread_entries', help: 'Latest blocks and subtrees whose copies are listed' };
    gaugeWithBound(metrics, gauge, () => this.rowCounts().reduce((a, b) => a + b), 2 * MAX_SPREAD_ROWS);
  }

  /** Called with the first valid announcement of a hash. */
  announced(announcement: FirstAnnouncement): void {
    const isBlock = announcement.type === 'attribute_block';
    const at = isBlock ? this.blockCount : this.subtreeCount;
    if (isBlock) this.blockCount += 1;
    else this.subtreeCount += 1;
    const slot = (isBlock ? this.blocks : this.subtrees)[at % MAX_SPREAD_ROWS] as Slot;
    slot.announcement = announcement;
    slot.atMs = this.clock.now();
    slot.low = 0;
    slot.high = 0;
    slot.copyCount = 0;
    this.latest = slot;
    const ageMs = ageOf(slot);
    if (ageMs !== undefined && ageMs < MAX_AGE_MS) this.blockAges.observe(Math.max(0, ageMs) / 1000);
  }

  /** The message of the last announcement, by two halves of a hash of its ID. */
  identified(low: number, high: number): void {
    if (this.latest === undefined) return;
    this.latest.low = low;
    this.latest.high = high;
    this.latest = undefined;
  }

  /** The message came again. */
  repeated(neighbour: PeerId, delayMs: number, low: number, high: number): void {
    const boundedMs = Math.min(Math.max(delayMs, 0), MAX_DELAY_MS);
    this.copyDelays.observe(boundedMs / 1000);
    this.window.add(boundedMs, this.clock.monotonic());
    const slot = find(this.blocks, low, high) ?? find(this.subtrees, low, high);
    if (slot === undefined) return;
    if (slot.copyCount < MAX_COPIES) {
      slot.neighbours[slot.copyCount] = neighbour;
      slot.delays[slot.copyCount] = delayMs;
    }
    slot.copyCount += 1;
  }

  view(): Spread {
    const { count, percentile } = this.window.read(this.clock.monotonic());
    const [blockRows, subtreeRows] = this.rowCounts();
    return {
      copies: count,
      p50Ms: percentile(0.5),
      p99Ms: percentile(0.99),
      recent: [
        ...latestFirst(this.blocks, this.blockCount, blockRows),
        ...latestFirst(this.subtrees, this.subtreeCount, subtreeRows),
      ],
    };
  }

  private rowCounts(): [number, number] {
    return [Math.min(this.blockCount, MAX_SPREAD_ROWS), Math.min(this.subtreeCount, MAX_SPREAD_ROWS)];
  }
}

function slots(): Slot[] {
  return Array.from({ length: MAX_SPREAD_ROWS }, () => ({
    ...{ announcement: NOTHING, atMs: 0, low: 0, high: 0, copyCount: 0 },
    neighbours: Array<PeerId>(MAX_COPIES).fill(NOTHING.author),
    delays: new Int32Array(MAX_COPIES),
  }));
}

function find(all: readonly Slot[], low: number, high: number): Slot | undefined {
  for (let i = 0; i < all.length; i += 1) {
    const slot = all[i] as Slot;
    if (slot.low === low && slot.high === high) return slot;
  }
  return undefined;
}

function ageOf({ announcement: { headerTime }, atMs }: Slot): number | undefined {
  return headerTime === undefined ? undefined : atMs - headerTime * 1000;
}

function latestFirst(all: readonly Slot[], count: number, rows: number): SpreadRow[] {
  return Array.from({ length: rows }, (_each, i) => rowOf(all[(count - 1 - i) % MAX_SPREAD_ROWS] as Slot));
}

function rowOf(slot: Slot): SpreadRow {
  const { announcement, atMs, copyCount, neighbours, delays } = slot;
  const { type, hash, height, author, receivedFrom } = announcement;
  const listed = neighbours.slice(0, copyCount);
  return {
    kind: type === 'attribute_block' ? 'block' : 'subtree',
    ...{ hash, height, author, deliveredBy: receivedFrom, atMs, headerAgeMs: ageOf(slot), copyCount },
    copies: listed.map((peerId, i) => ({ peerId, delayMs: delays[i] as number })),
  };
}
