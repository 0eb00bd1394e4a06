// What our own blockchain service says of recent headers, in memory, so that guards can look without waiting: heights by hash, and the tip's target.
import { LRUCache } from 'lru-cache';
import type { BlockchainClient, BlockHeaderRecord } from '../ports/blockchain-client.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import { parseHeader, targetFromCompact } from '../wire/header.ts';
import type { BlockHash } from '../wire/ids.ts';

/** Two weeks of blocks. */
const MAX_HEADERS = 2016;
/** Read at a time, from the tip down: a day of blocks. */
const READ_AT_ONCE = 144;

export interface OwnTip {
  readonly hash: BlockHash;
  readonly height: number;
  /** Target of its header. */
  readonly target: bigint;
  /** Unix seconds, as its header says. */
  readonly time: number;
}

export class OwnChain {
  private readonly deps: { readonly blockchain: BlockchainClient; readonly clock: Clock; readonly log: Logger };
  private readonly heights = new LRUCache<BlockHash, number>({ max: MAX_HEADERS });
  private readonly ended = new AbortController();
  private best: OwnTip | undefined;
  private unsubscribe: (() => void) | undefined;
  private isDue = false;
  /** A reading has gone down as far as it wanted: the next ends where it meets what is known. */
  private isFilled = false;
  private reading: Promise<void> = Promise.resolve();

  constructor(deps: { readonly blockchain: BlockchainClient; readonly clock: Clock; readonly log: Logger }) {
    this.deps = deps;
  }

  /** Reads the tip; what is beneath it follows in the background. */
  async start(): Promise<void> {
    this.adopt(await this.deps.blockchain.bestBlockHeader());
    if (this.ended.signal.aborted) return;
    this.unsubscribe = this.deps.blockchain.subscribe('p2p own chain', (notification) => {
      if (notification.type === 'block') this.readSoon();
    });
    this.readSoon();
  }

  async stop(): Promise<void> {
    this.ended.abort();
    this.unsubscribe?.();
    await this.reading;
  }

  /** undefined for what is not on our recent chain. */
  heightOf(hash: BlockHash): number | undefined {
    return this.heights.get(hash);
  }

  /** The best header that our own service told of. */
  tip(): OwnTip | undefined {
    return this.best;
  }

  /** Several notifications before it begins are one reading. */
  private readSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    this.reading = this.reading
      .then(() => {
        this.isDue = false;
        return this.read();
      })
      .catch((error: unknown) => this.deps.log.debug({ err: error }, 'own chain not read'));
  }

  /** A block may have come on a branch that lost: the tip is asked for, and what is beneath it down to a header that is known. */
  private async read(): Promise<void> {
    const { blockchain } = this.deps;
    const { signal } = this.ended;
    if (signal.aborted) return;
    let at: BlockHeaderRecord | undefined = await blockchain.bestBlockHeader();
    this.adopt(at);
    for (let i = 0; i < READ_AT_ONCE && at !== undefined && at.height > 0; i += 1) {
      const previous = parseHeader(at.header)?.previousHash;
      if (previous === undefined || (this.isFilled && this.heights.has(previous))) return;
      if (signal.aborted) return;
      at = await blockchain.blockHeader(previous);
      if (at !== undefined) this.heights.set(at.hash, at.height);
    }
    this.isFilled = true;
  }

  private adopt(record: BlockHeaderRecord): void {
    this.heights.set(record.hash, record.height);
    const header = parseHeader(record.header);
    const target = header === undefined ? undefined : targetFromCompact(header.bits);
    if (header === undefined || target === undefined) return;
    this.best = { hash: record.hash, height: record.height, target, time: header.time };
  }
}
