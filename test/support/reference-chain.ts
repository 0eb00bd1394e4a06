// The chain behind the reference blockchain service: the embedded chain, and what a real service has beyond it: blocks
// that turn out invalid, and a state machine. Both survive a restart.
import { randomBytes } from 'node:crypto';
import { EmbeddedChain } from '../../src/adapters/embedded-chain/embedded-chain.ts';
import { genesisOf, HEADER_ONLY } from '../../src/adapters/embedded-chain/header-rules.ts';
import { mineBlock } from '../../src/adapters/embedded-chain/regtest-miner.ts';
import type { BlockHash, SubtreeHash } from '../../src/domain/ids.ts';
import type { BlockHeaderRecord, FsmState } from '../../src/ports/blockchain-client.ts';
import { systemClock } from '../../src/ports/clock.ts';
import type { Logger } from '../../src/ports/log.ts';
import { parseHeader } from '../../src/wire/header.ts';
import { NETWORKS, type Network, type NetworkParameters } from '../../src/wire/networks.ts';

export interface ReferenceChainOptions {
  readonly network: Network;
  /** Database file, or `:memory:`. */
  readonly dataFile: string;
  readonly headersFile?: string | undefined;
  /** Of a fresh chain; default RUNNING. */
  readonly fsmState?: FsmState | undefined;
}

/** What subscribers of the service hear of. */
export interface ChainEvents {
  /** Stored or invalidated. */
  readonly block: (hash: BlockHash) => void;
  readonly subtree: (hash: SubtreeHash) => void;
  readonly miningOn: (hash: BlockHash) => void;
  readonly fsmState: (state: FsmState) => void;
}

type WorkedHeader = BlockHeaderRecord & { readonly chainWork: bigint };

/** State key under which this file keeps what the embedded chain does not. */
const OWN_KEY = 'reference';
const silent = () => {};
const SILENT: Logger = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };

export class ReferenceChain {
  private readonly chain: EmbeddedChain;
  private readonly network: NetworkParameters;
  private readonly events: ChainEvents;
  private readonly invalid = new Set<BlockHash>();
  /** Tips that may be best, first seen first. */
  private tips: BlockHash[] = [];
  private state: FsmState = 'RUNNING';

  private constructor(chain: EmbeddedChain, network: NetworkParameters, events: ChainEvents) {
    this.chain = chain;
    this.network = network;
    this.events = events;
  }

  static async open(options: ReferenceChainOptions, events: ChainEvents): Promise<ReferenceChain> {
    const network = NETWORKS[options.network];
    const chain = new EmbeddedChain(
      { log: SILENT, clock: systemClock },
      {
        network,
        path: options.dataFile,
        headersFile: options.headersFile,
        mineIntervalMs: undefined,
        minerText: '/reference/',
      },
    );
    await chain.start(new AbortController().signal);
    const made = new ReferenceChain(chain, network, events);
    made.state = options.fsmState ?? made.state;
    await made.load();
    return made;
  }

  private async load(): Promise<void> {
    const bytes = await this.chain.getState(OWN_KEY);
    const kept = JSON.parse(bytes === undefined ? '{}' : Buffer.from(bytes).toString()) as {
      invalid?: BlockHash[];
      tips?: BlockHash[];
      state?: FsmState;
    };
    for (const hash of kept.invalid ?? []) this.invalid.add(hash);
    this.tips = kept.tips ?? [(await this.chain.bestBlockHeader()).hash];
    this.state = kept.state ?? this.state;
  }

  private async save(): Promise<void> {
    const kept = { invalid: [...this.invalid], tips: this.tips, state: this.state };
    await this.chain.setState(OWN_KEY, Buffer.from(JSON.stringify(kept)));
  }

  async header(hash: BlockHash): Promise<BlockHeaderRecord | undefined> {
    const record = await this.chain.blockHeader(hash);
    return record === undefined ? undefined : { ...record, invalid: this.invalid.has(hash) };
  }

  /** Most work among the valid ones. */
  async best(): Promise<WorkedHeader> {
    let best: WorkedHeader = genesisOf(this.network);
    for (const tip of this.tips) {
      let at = await this.header(tip);
      while (at?.invalid === true) at = await this.header(previousOf(at));
      if (at?.chainWork !== undefined && at.chainWork > best.chainWork) best = { ...at, chainWork: at.chainWork };
    }
    return best;
  }

  /** Mines on the best block, or on another one; regtest only. */
  async mine(on?: BlockHash): Promise<BlockHeaderRecord> {
    const parent = on === undefined ? await this.best() : await this.header(on);
    if (parent?.chainWork === undefined) throw new RangeError('no such block to mine on');
    const minTime = (parseHeader(parent.header)?.time ?? 0) + 1;
    const text = `/reference ${randomBytes(4).toString('hex')}/`;
    const work = { ...parent, chainWork: parent.chainWork };
    const block = mineBlock(work, minTime, Math.floor(Date.now() / 1000), this.network, text);
    const added = this.chain.addHeader(block.header, block.facts);
    this.events.subtree(block.subtree);
    return await this.added(added);
  }

  async add(header: Uint8Array, isInvalid: boolean): Promise<BlockHeaderRecord> {
    const added = this.chain.addHeader(header, HEADER_ONLY);
    if (isInvalid) this.invalid.add(added.hash);
    return await this.added(added);
  }

  private async added(record: BlockHeaderRecord): Promise<BlockHeaderRecord> {
    const parent = previousOf(record);
    if (this.invalid.has(parent)) this.invalid.add(record.hash);
    this.tips = [...this.tips.filter((hash) => hash !== parent), record.hash];
    await this.save();
    this.events.block(record.hash);
    const best = await this.best();
    if (best.hash === record.hash) this.events.miningOn(record.hash);
    return { ...record, invalid: this.invalid.has(record.hash) };
  }

  /** With all that stand on it. Subscribers hear of the block itself. */
  async invalidate(hash: BlockHash): Promise<void> {
    for (const tip of this.tips) {
      const branch: BlockHash[] = [];
      for (let at = await this.header(tip); at !== undefined && at.height > 0; at = await this.header(previousOf(at))) {
        branch.push(at.hash);
        if (at.hash === hash) for (const each of branch) this.invalid.add(each);
      }
    }
    await this.save();
    this.events.block(hash);
  }

  fsmState(): FsmState {
    return this.state;
  }

  async setFsmState(state: FsmState): Promise<void> {
    this.state = state;
    await this.save();
    this.events.fsmState(state);
  }

  getState(key: string): Promise<Uint8Array | undefined> {
    return this.chain.getState(key);
  }

  setState(key: string, data: Uint8Array): Promise<void> {
    return this.chain.setState(key, data);
  }

  close(): Promise<void> {
    return this.chain.stop();
  }
}

function previousOf(record: BlockHeaderRecord): BlockHash {
  const header = parseHeader(record.header);
  if (header === undefined) throw new RangeError('a stored header has 80 bytes');
  return header.previousHash;
}
