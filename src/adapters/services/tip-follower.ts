// Decides which blocks are announced to listeners. The service's notifications have gaps (a lost connection, a full
// queue) and repetitions (the tip, with each subscription). Listeners get each block that became best once, oldest
// first.
import { LRUCache } from 'lru-cache';
import type { BlockHash } from '../../domain/ids.ts';
import type { BlockchainClient, BlockHeaderRecord } from '../../ports/blockchain-client.ts';
import type { Logger } from '../../ports/log.ts';
import { parseHeader } from '../../wire/header.ts';

type Chain = Pick<BlockchainClient, 'bestBlockHeader' | 'blockHeader'>;

/** Missed blocks that are announced after a gap, most of a day; of a longer gap the latest ones. */
export const MAX_MISSED = 100;
/** Blocks remembered as announced: two weeks. */
const MAX_ANNOUNCED = 2016;

export class TipFollower {
  private readonly chain: Chain;
  private readonly log: Logger;
  private readonly announce: (record: BlockHeaderRecord) => void;
  private readonly announced = new LRUCache<BlockHash, true>({ max: MAX_ANNOUNCED });
  /** The last valid block that was announced; before the first one, the tip. */
  private last: BlockHeaderRecord | undefined;

  /** `announce` gets each block as it becomes known, in order. */
  constructor(deps: { readonly chain: Chain; readonly log: Logger }, announce: (record: BlockHeaderRecord) => void) {
    this.chain = deps.chain;
    this.log = deps.log;
    this.announce = announce;
  }

  /** The tip is known; later blocks will be announced. */
  get isStarted(): boolean {
    return this.last !== undefined;
  }

  /** The block that was announced last. */
  get tip(): BlockHash | undefined {
    return this.last?.hash;
  }

  /**
   * Reads the best header and announces the blocks before it that were missed; the first time none. Resolves with the
   * tip.
   */
  async catchUp(): Promise<BlockHash> {
    const best = await this.chain.bestBlockHeader();
    if (this.last === undefined) this.remember(best);
    else await this.announceUpTo(best);
    return best.hash;
  }

  /**
   * Handles the notification of a block. Resolves with false when the best block must be read: the service does not
   * know the block, or it is invalid. An invalid block that was announced before is announced again, so that listeners
   * check it again; other invalid ones are not.
   */
  async notified(hash: BlockHash): Promise<boolean> {
    const record = await this.chain.blockHeader(hash);
    if (record === undefined) return false;
    if (!record.invalid) {
      await this.announceUpTo(record);
      return true;
    }
    if (this.announced.delete(hash)) this.announce(record);
    return false;
  }

  private async announceUpTo(record: BlockHeaderRecord): Promise<void> {
    if (!this.announced.has(record.hash) && !(await this.isBeneathLast(record))) {
      // Read all before announcing any: when the service fails half-way, the next attempt starts from the same place.
      const missed = await this.missedBefore(record);
      if (missed.length > 0) this.log.info({ missed: missed.length, tip: record.hash }, 'found missed blocks');
      for (const each of [...missed, record]) {
        this.remember(each);
        this.announce(each);
      }
    }
    this.last = record;
  }

  /** True for an ancestor of the last block: it was best before anybody listened. */
  private async isBeneathLast(record: BlockHeaderRecord): Promise<boolean> {
    const { last } = this;
    if (last === undefined || last.height < record.height) return false;
    return (await this.ancestorAt(last, record.height))?.hash === record.hash;
  }

  private remember(record: BlockHeaderRecord): void {
    this.announced.set(record.hash, true);
    this.last = record;
  }

  /**
   * Blocks before `record`, oldest first: back to one that was announced, or to where the chain of the last one
   * branches off.
   */
  private async missedBefore(record: BlockHeaderRecord): Promise<BlockHeaderRecord[]> {
    const missed: BlockHeaderRecord[] = [];
    let ours = this.last;
    for (let at = record; missed.length < MAX_MISSED; ) {
      const previous = previousOf(at);
      if (previous === undefined || this.announced.has(previous)) return missed.reverse();
      const parent = await this.chain.blockHeader(previous);
      if (parent === undefined) return missed.reverse();
      ours = await this.ancestorAt(ours, parent.height);
      if (ours?.hash === parent.hash) return missed.reverse();
      missed.push(parent);
      at = parent;
    }
    this.log.warn({ bound: MAX_MISSED, tip: record.hash }, 'too many missed blocks, announcing the latest');
    // For an unconnected chain nothing says which blocks are new.
    return ours === undefined ? [] : missed.reverse();
  }

  /** undefined when the service knows no such ancestor, or it is too far away. */
  private async ancestorAt(
    from: BlockHeaderRecord | undefined,
    height: number,
  ): Promise<BlockHeaderRecord | undefined> {
    let at = from;
    for (let steps = 0; at !== undefined && at.height > height; steps += 1) {
      const previous = previousOf(at);
      at = previous === undefined || steps >= MAX_MISSED ? undefined : await this.chain.blockHeader(previous);
    }
    return at;
  }
}

function previousOf(record: BlockHeaderRecord): BlockHash | undefined {
  const previous = parseHeader(record.header)?.previousHash;
  return previous === undefined || /^0+$/.test(previous) ? undefined : previous;
}
