// All blocks of a story, valid and invalid, and each node's blockchain service, which keeps those that it validated.
import type { BlockHash } from '../../src/domain/ids.ts';
import type {
  BlockchainClient,
  BlockchainNotification,
  BlockHeaderRecord,
  FsmState,
} from '../../src/ports/blockchain-client.ts';
import { hashHeader, parseHeader } from '../../src/wire/header.ts';
import { EASY_BITS, GENESIS, mineChild } from '../support/mined.ts';

export interface Block {
  readonly record: BlockHeaderRecord;
  /** False: its header has its work, and its transactions are invalid. */
  readonly isValid: boolean;
}

const SPACING_SECONDS = 600;

export class Blocks {
  readonly genesis: BlockHeaderRecord = recordOf(GENESIS.header, 0, GENESIS.chainWork);
  private readonly byHash = new Map<BlockHash, Block>();
  private salt = 0;

  constructor() {
    this.byHash.set(this.genesis.hash, { record: this.genesis, isValid: true });
  }

  get(hash: BlockHash): Block | undefined {
    return this.byHash.get(hash);
  }

  mine(parent: BlockHeaderRecord, isValid: boolean): Block {
    this.salt += 1;
    const header = mineChild(parent.header, `simulated ${this.salt}`, EASY_BITS, SPACING_SECONDS);
    const record = recordOf(header, parent.height + 1, (parent.chainWork ?? 0n) + 2n);
    const block = { record, isValid };
    this.byHash.set(record.hash, block);
    return block;
  }

  parentOf(record: BlockHeaderRecord): Block | undefined {
    const previous = parseHeader(record.header)?.previousHash;
    return previous === undefined ? undefined : this.byHash.get(previous);
  }
}

function recordOf(header: Uint8Array, height: number, chainWork: bigint): BlockHeaderRecord {
  const hash = hashHeader(header);
  return { hash, header, height, txCount: 1n, sizeInBytes: 285n, miner: '', chainWork, invalid: false };
}

export class SimulatedChain implements BlockchainClient {
  best: BlockHeaderRecord;
  private state: FsmState = 'RUNNING';
  private readonly known = new Map<BlockHash, BlockHeaderRecord>();
  private readonly listeners = new Set<(notification: BlockchainNotification) => void>();

  constructor(genesis: BlockHeaderRecord) {
    this.best = genesis;
    this.known.set(genesis.hash, genesis);
  }

  get currentState(): FsmState {
    return this.state;
  }

  has(hash: BlockHash): boolean {
    return this.known.has(hash);
  }

  /** A valid block whose parent is known. The first of two equal chains stays the best. */
  add(record: BlockHeaderRecord): void {
    this.known.set(record.hash, record);
    if (record.height <= this.best.height) return;
    this.best = record;
    this.notify({ type: 'block', hash: record.hash, subtreesSet: true });
  }

  setFsmState(state: FsmState): void {
    this.state = state;
    this.notify({ type: 'fsm_state', state });
  }

  notify(notification: BlockchainNotification): void {
    for (const listener of this.listeners) listener(notification);
  }

  bestBlockHeader = async () => this.best;
  blockHeader = async (hash: BlockHash) => this.known.get(hash);
  fsmState = async () => this.state;
  getState = async () => undefined;
  setState = async () => {};
  start = async () => {};
  stop = async () => {};
  waitUntilFsmLeavesIdle = async () => {};
  probe = async () => ({ ok: true, details: '' });

  subscribe(_source: string, listener: (notification: BlockchainNotification) => void): () => void {
    this.listeners.add(listener);
    queueMicrotask(() => listener({ type: 'block', hash: this.best.hash, subtreesSet: true }));
    return () => this.listeners.delete(listener);
  }
}
