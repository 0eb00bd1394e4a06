// Heights and parents of our chain's recent headers by hash, in memory, so that they are looked up without waiting. Reading
// that fails half-way leaves a gap, and the next reading continues there.
import type { BlockHash } from '../domain/ids.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import type { BlockHeaderRecord } from '../ports/blockchain-client.ts';
import { parseHeader } from '../wire/header.ts';
import { type LinkedPoint, linkedPoint } from './fork.ts';

/** Two weeks of blocks. */
const MAX_HEADERS = 2016;
/** Headers read below a tip: a day of blocks. */
const MAX_READ_BELOW = 144;
/** More than the readings that fail in a row with a new tip each time; of more gaps the oldest stays open. */
const MAX_GAPS = 16;

/** Below this header some may be missing. */
interface Gap {
  at: BlockHeaderRecord;
  /** Headers still to be read. */
  left: number;
}

export class RecentHeaders {
  private readonly read: (hash: BlockHash) => Promise<BlockHeaderRecord | undefined>;
  private readonly onKept: ((hash: BlockHash, height: number) => void) | undefined;
  private readonly points = new BoundedMap<BlockHash, LinkedPoint>({ max: MAX_HEADERS });
  /** Newest last. Outside of gaps, the known headers have all their ancestors, as far back as we read. */
  private gaps: Gap[] = [];

  constructor(
    read: (hash: BlockHash) => Promise<BlockHeaderRecord | undefined>,
    onKept?: (hash: BlockHash, height: number) => void,
  ) {
    this.read = read;
    this.onKept = onKept;
  }

  get gapCount(): number {
    return this.gaps.length;
  }

  /** undefined for a header that is not on our recent chain. */
  heightOf(hash: BlockHash): number | undefined {
    return this.points.get(hash)?.height;
  }

  /** undefined for a header that is not on our recent chain. */
  get(hash: BlockHash): LinkedPoint | undefined {
    return this.points.get(hash);
  }

  /** Adds the best header. True when headers below it are missing: `fill` reads them. */
  addBest(best: BlockHeaderRecord): boolean {
    this.keep(best);
    const isGap = best.height > 0 && !this.isParentKnown(best);
    if (!isGap || this.gaps.some(({ at }) => at.hash === best.hash)) return false;
    this.gaps = [...this.gaps, { at: best, left: MAX_READ_BELOW }].slice(-MAX_GAPS);
    return true;
  }

  /** Adds a valid header whose parent is known; others are left to `fill`. */
  addChild(record: BlockHeaderRecord): void {
    if (!record.invalid && this.isParentKnown(record)) this.keep(record);
  }

  /**
   * Reads missing headers, newest first. Ends after the call under way when the signal is aborted; throws what the
   * service throws.
   */
  async fill(signal: AbortSignal): Promise<void> {
    for (let gap = this.gaps.at(-1); gap !== undefined && !signal.aborted; gap = this.gaps.at(-1)) {
      await this.fillGap(gap, signal);
      if (!signal.aborted) this.gaps = this.gaps.filter((each) => each !== gap);
    }
  }

  private async fillGap(gap: Gap, signal: AbortSignal): Promise<void> {
    while (gap.left > 0 && gap.at.height > 0 && !signal.aborted) {
      const previous = parseHeader(gap.at.header)?.previousHash;
      if (previous === undefined || this.points.has(previous)) return;
      const parent = await this.read(previous);
      if (parent === undefined) return;
      this.keep(parent);
      gap.at = parent;
      gap.left -= 1;
    }
  }

  private keep(record: BlockHeaderRecord): void {
    const point = linkedPoint(record);
    if (point === undefined) return;
    this.points.set(record.hash, point);
    this.onKept?.(record.hash, point.height);
  }

  private isParentKnown({ header }: BlockHeaderRecord): boolean {
    const previous = parseHeader(header)?.previousHash;
    return previous !== undefined && this.points.has(previous);
  }
}
