// What our own blockchain service says of recent headers, in memory, so that guards can look without waiting: heights by hash, and the tip's target.
// A reading that breaks leaves a gap, which the next one, soon after, goes on with.
import { LRUCache } from 'lru-cache';
import type { BlockHash } from '../domain/ids.ts';
import { type Repeating, repeating } from '../lib/repeating.ts';
import type { BlockchainClient, BlockHeaderRecord } from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import { parseHeader, targetFromCompact } from '../wire/header.ts';

/** Two weeks of blocks. */
const MAX_HEADERS = 2016;
/** Read at a time, from the tip down: a day of blocks. */
const READ_AT_ONCE = 144;
/** Without a block told, should a notification have been lost. */
const READ_INTERVAL_MS = 5 * 60_000;
/** After a reading that broke; doubled each time. */
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 60_000;
/** More readings than break in a row with a new tip each time; the oldest gap stays open then. */
const MAX_GAPS = 16;

export interface OwnTip {
  readonly hash: BlockHash;
  readonly height: number;
  /** Target of its header. */
  readonly target: bigint;
  /** Unix seconds, as its header says. */
  readonly time: number;
}

/** Beneath this header something may be missing. */
interface Gap {
  at: BlockHeaderRecord;
  /** Headers still to be read. */
  left: number;
}

export class OwnChain {
  private readonly deps: { readonly blockchain: BlockchainClient; readonly clock: Clock; readonly log: Logger };
  private readonly heights = new LRUCache<BlockHash, number>({ max: MAX_HEADERS });
  private readonly ended = new AbortController();
  private best: OwnTip | undefined;
  private unsubscribe: (() => void) | undefined;
  private loop: Repeating | undefined;
  private failures = 0;
  /** Newest last. What is known and not in or beneath a gap is whole. */
  private gaps: Gap[] = [];

  constructor(deps: { readonly blockchain: BlockchainClient; readonly clock: Clock; readonly log: Logger }) {
    this.deps = deps;
  }

  /** Reads the tip; what is beneath it follows in the background. */
  async start(): Promise<void> {
    this.adopt(await this.deps.blockchain.bestBlockHeader());
    if (this.ended.signal.aborted) return;
    this.loop = repeating(
      (signal) => this.read(signal),
      { firstMs: 0, nextMs: () => this.pauseMs() },
      (error) => this.readingFailed(error),
    );
    this.unsubscribe = this.deps.blockchain.subscribe('p2p own chain', (notification) => {
      if (notification.type === 'block') this.loop?.wake();
    });
  }

  /** May be called twice; a reading under way ends with the call in hand. */
  async stop(): Promise<void> {
    this.ended.abort();
    this.loop?.stop();
    this.unsubscribe?.();
  }

  /** undefined for what is not on our recent chain. */
  heightOf(hash: BlockHash): number | undefined {
    return this.heights.get(hash);
  }

  /** The best header that our own service told of. */
  tip(): OwnTip | undefined {
    return this.best;
  }

  private pauseMs(): number {
    if (this.failures === 0) return READ_INTERVAL_MS;
    return Math.min(FIRST_RETRY_MS * 2 ** (this.failures - 1), LAST_RETRY_MS);
  }

  private readingFailed(error: unknown): void {
    this.failures += 1;
    const { failures, gaps } = this;
    this.deps.log.debug({ err: error, failures, gaps: gaps.length }, 'own chain not read');
  }

  /** A block may have come on a branch that lost: the tip is asked for, and what is beneath it and beneath each gap down to what is known. */
  private async read(signal: AbortSignal): Promise<void> {
    const best = await this.deps.blockchain.bestBlockHeader();
    if (signal.aborted) return;
    this.adopt(best);
    if (!this.gaps.some(({ at }) => at.hash === best.hash)) this.gaps.push({ at: best, left: READ_AT_ONCE });
    this.gaps = this.gaps.slice(-MAX_GAPS);
    for (let gap = this.gaps.at(-1); gap !== undefined; gap = this.gaps.at(-1)) {
      await this.fill(gap, signal);
      if (signal.aborted) return;
      this.gaps.pop();
    }
    this.failures = 0;
  }

  private async fill(gap: Gap, signal: AbortSignal): Promise<void> {
    while (gap.left > 0 && gap.at.height > 0 && !signal.aborted) {
      const previous = parseHeader(gap.at.header)?.previousHash;
      if (previous === undefined || this.heights.has(previous)) return;
      const parent = await this.deps.blockchain.blockHeader(previous);
      if (parent === undefined) return;
      this.heights.set(parent.hash, parent.height);
      gap.at = parent;
      gap.left -= 1;
    }
  }

  private adopt(record: BlockHeaderRecord): void {
    this.heights.set(record.hash, record.height);
    const header = parseHeader(record.header);
    const target = header === undefined ? undefined : targetFromCompact(header.bits);
    if (header === undefined || target === undefined) return;
    this.best = { hash: record.hash, height: record.height, target, time: header.time };
  }
}
