// Which blocks listeners are told of. The service's notifications have gaps (a lost connection, a full queue) and repetitions (the tip, with
// each subscription): from both together comes each block that is best afterwards, once, oldest first.
import { LRUCache } from 'lru-cache';
import type { BlockHash } from '../../domain/ids.ts';
import type { BlockchainClient, BlockHeaderRecord } from '../../ports/blockchain-client.ts';
import type { Logger } from '../../ports/log.ts';
import { parseHeader } from '../../wire/header.ts';

type Chain = Pick<BlockchainClient, 'bestBlockHeader' | 'blockHeader'>;

/** Missed blocks told after a gap: most of a day. Of a longer gap the latest are told. */
export const MAX_MISSED = 100;
/** Blocks remembered as told: two weeks. */
const MAX_TOLD = 2016;

export class TipFollower {
  private readonly chain: Chain;
  private readonly log: Logger;
  private readonly tell: (hash: BlockHash) => void;
  private readonly told = new LRUCache<BlockHash, true>({ max: MAX_TOLD });
  /** The valid block that was told last; before the first, the tip that was found. */
  private last: BlockHeaderRecord | undefined;

  /** `tell` gets each block as it becomes known, in order. */
  constructor(deps: { readonly chain: Chain; readonly log: Logger }, tell: (hash: BlockHash) => void) {
    this.chain = deps.chain;
    this.log = deps.log;
    this.tell = tell;
  }

  /** A tip is known, from which on there is news. */
  get isStarted(): boolean {
    return this.last !== undefined;
  }

  /** The block that was told last. */
  get tip(): BlockHash | undefined {
    return this.last?.hash;
  }

  /** Reads the best header and tells what of its chain was missed; the first time nothing, for what is there is no news. Resolves with the tip. */
  async catchUp(): Promise<BlockHash> {
    const best = await this.chain.bestBlockHeader();
    if (this.last === undefined) this.remember(best);
    else await this.tellUpTo(best);
    return best.hash;
  }

  /**
   * A notification of a block. Resolves with false when the best block must be read to know what it means: the service does not know it, or
   * it is invalid. An invalid block that was told before is told again, so that listeners look at it again; others are not told.
   */
  async notified(hash: BlockHash): Promise<boolean> {
    const record = await this.chain.blockHeader(hash);
    if (record === undefined) return false;
    if (!record.invalid) {
      await this.tellUpTo(record);
      return true;
    }
    if (this.told.delete(hash)) this.tell(hash);
    return false;
  }

  private async tellUpTo(record: BlockHeaderRecord): Promise<void> {
    if (!this.told.has(record.hash) && !(await this.isBeneathLast(record))) {
      // Read whole before any is told: when the service fails half-way, the next attempt begins where this one did.
      const missed = await this.missedBefore(record);
      if (missed.length > 0) this.log.info({ missed: missed.length, tip: record.hash }, 'missed blocks found');
      for (const each of [...missed, record]) {
        this.remember(each);
        this.tell(each.hash);
      }
    }
    this.last = record;
  }

  /** What the chain of the last one stands on is no news: it was best before anybody listened. */
  private async isBeneathLast(record: BlockHeaderRecord): Promise<boolean> {
    const { last } = this;
    if (last === undefined || last.height < record.height) return false;
    return (await this.ancestorAt(last, record.height))?.hash === record.hash;
  }

  private remember(record: BlockHeaderRecord): void {
    this.told.set(record.hash, true);
    this.last = record;
  }

  /** Blocks between what was told and `record`, oldest first: down to one that was told, or to where the chain of the last one branches off. */
  private async missedBefore(record: BlockHeaderRecord): Promise<BlockHeaderRecord[]> {
    const missed: BlockHeaderRecord[] = [];
    let ours = this.last;
    for (let at = record; missed.length < MAX_MISSED; ) {
      const previous = previousOf(at);
      if (previous === undefined || this.told.has(previous)) return missed.reverse();
      const parent = await this.chain.blockHeader(previous);
      if (parent === undefined) return missed.reverse();
      ours = await this.ancestorAt(ours, parent.height);
      if (ours?.hash === parent.hash) return missed.reverse();
      missed.push(parent);
      at = parent;
    }
    this.log.warn({ bound: MAX_MISSED, tip: record.hash }, 'more blocks were missed than are told');
    // Nothing says how much of an unconnected chain would be news.
    return ours === undefined ? [] : missed.reverse();
  }

  /** Undefined when the service knows no such ancestor, or it is too far away. */
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
