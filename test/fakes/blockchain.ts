// A blockchain service in memory for what only reads headers: it grows, forks, fails and waits as a test says.

import type { BlockHash, Hash } from '../../src/domain/ids.ts';
import type {
  BlockchainClient,
  BlockchainNotification,
  BlockHeaderRecord,
  FsmState,
} from '../../src/ports/blockchain-client.ts';
import { encodeHeader, hashHeader, parseHeader } from '../../src/wire/header.ts';

type Call = 'tip' | 'header';

export class FakeBlockchain implements BlockchainClient {
  /** Calls for which it is true throw. */
  fails: (call: Call) => boolean = () => false;
  /** Answers about the tip say how things were when they were asked for. */
  answersAsOfRequest = false;
  state: FsmState = 'RUNNING';
  /** A call waits for it. */
  before: (call: Call) => Promise<unknown> | undefined = () => undefined;
  /** Calls for the tip after the first, which is that of a start. */
  readings = -1;
  headerCalls = 0;
  failures = 0;
  private readonly records = new Map<Hash, BlockHeaderRecord>();
  private readonly listeners = new Set<(notification: BlockchainNotification) => void>();
  private best: BlockHeaderRecord | undefined;
  private nonce = 0;

  get subscribers(): number {
    return this.listeners.size;
  }

  /** Adds blocks on the tip; their hashes. */
  grow(blocks: number): BlockHash[] {
    return Array.from({ length: blocks }, () => this.add(this.best));
  }

  /** A branch from a height of the best chain, which becomes the best one; hashes of its blocks. */
  fork(height: number, blocks: number): BlockHash[] {
    while (this.best !== undefined && this.best.height > height) this.best = this.records.get(previousOf(this.best));
    return this.grow(blocks);
  }

  /** The tip turns out invalid; its parent is best again. */
  invalidate(hash: BlockHash): void {
    const record = this.records.get(hash);
    if (record === undefined || this.best?.hash !== hash) throw new RangeError('not the tip');
    this.records.set(hash, { ...record, invalid: true });
    this.best = this.records.get(previousOf(record));
  }

  forget(hash: BlockHash): void {
    this.records.delete(hash);
  }

  timeOf(hash: BlockHash): number | undefined {
    return parseHeader(this.records.get(hash)?.header ?? new Uint8Array())?.time;
  }

  tell(notification: BlockchainNotification): void {
    for (const listener of this.listeners) listener(notification);
  }

  async bestBlockHeader(): Promise<BlockHeaderRecord> {
    this.readings += 1;
    const asked = this.best;
    await this.called('tip');
    const best = this.answersAsOfRequest ? asked : this.best;
    if (best === undefined) throw new Error('no chain');
    return best;
  }

  async blockHeader(hash: BlockHash): Promise<BlockHeaderRecord | undefined> {
    this.headerCalls += 1;
    await this.called('header');
    return this.records.get(hash);
  }

  subscribe(_source: string, listener: (notification: BlockchainNotification) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  start = async () => {};
  stop = async () => {};
  getState = async () => undefined;
  setState = async () => {};
  fsmState = async () => this.state;
  waitUntilFsmLeavesIdle = async () => {};
  probe = async () => ({ ok: true, details: '' });

  private async called(call: Call): Promise<void> {
    await this.before(call);
    if (!this.fails(call)) return;
    this.failures += 1;
    throw new Error('RPC failed');
  }

  private add(previous: BlockHeaderRecord | undefined): BlockHash {
    this.nonce += 1;
    const header = encodeHeader({
      version: 1,
      previousHash: previous?.hash ?? ('00'.repeat(32) as Hash),
      merkleRoot: '11'.repeat(32) as Hash,
      time: 1_700_000_000 + this.nonce,
      bits: 0x207fffff,
      nonce: this.nonce,
    });
    const record: BlockHeaderRecord = {
      hash: hashHeader(header),
      header,
      height: previous === undefined ? 0 : previous.height + 1,
      txCount: 1n,
      sizeInBytes: 1n,
      miner: '',
      chainWork: undefined,
      invalid: false,
    };
    this.records.set(record.hash, record);
    this.best = record;
    return record.hash;
  }
}

function previousOf({ header }: BlockHeaderRecord): BlockHash {
  return parseHeader(header)?.previousHash ?? ('00'.repeat(32) as Hash);
}
