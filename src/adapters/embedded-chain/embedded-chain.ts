// The embedded blockchain: a chain of headers in SQLite that replaces Teranode's blockchain service, so that a node
// runs without other services. Headers are imported, mined (regtest) or taken from peers (`follower.ts`), checked,
// served, and announced to subscribers.

import type { BlockHash, SubtreeHash } from '../../domain/ids.ts';
import { P2PError } from '../../lib/errors.ts';
import type {
  BlockchainClient,
  BlockchainNotification,
  BlockHeaderRecord,
  FsmState,
} from '../../ports/blockchain-client.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DataHubSource } from '../../ports/datahub-source.ts';
import type { Logger } from '../../ports/log.ts';
import type { ProbeResult } from '../../ports/producer.ts';
import { hashToBytes } from '../../wire/hash.ts';
import { hashHeader, parseHeader } from '../../wire/header.ts';
import { type CheckedHeader, MEDIAN_SPAN, medianOf, type ParentView } from '../../wire/header-rules.ts';
import type { NetworkParameters } from '../../wire/networks.ts';
import { encodeTeranodeBlock } from '../../wire/teranode-block.ts';
import { chainBack, chainFrom, locatorOf } from './chain-ranges.ts';
import { ChainStore, type StoredHeader } from './chain-store.ts';
import { importHeaders } from './header-import.ts';
import { type BlockFacts, childOf, genesisOf, HEADER_ONLY } from './header-rules.ts';
import { mineBlock } from './regtest-miner.ts';

export interface EmbeddedChainOptions {
  readonly network: NetworkParameters;
  /** Database file, or `:memory:`. */
  readonly path: string;
  /** `embedded_chain_headers`: file to import. */
  readonly headersFile: string | undefined;
  /** `embedded_chain_mine_interval`; regtest only. */
  readonly mineIntervalMs: number | undefined;
  /** Written into the coinbase of mined blocks. */
  readonly minerText: string;
}

type Listener = (notification: BlockchainNotification) => void;

const MAX_SUBSCRIBERS = 100;
const MAX_KEY_CHARS = 256;
const MAX_STATE_BYTES = 1024 * 1024;

export class EmbeddedChain implements BlockchainClient, DataHubSource {
  private readonly log: Logger;
  private readonly clock: Clock;
  private readonly options: EmbeddedChainOptions;
  private readonly listeners = new Set<Listener>();
  private readonly idleWaiters = new Set<() => void>();
  private store: ChainStore | undefined;
  private state: FsmState = 'RUNNING';
  private miner: NodeJS.Timeout | undefined;

  constructor(deps: { readonly log: Logger; readonly clock: Clock }, options: EmbeddedChainOptions) {
    this.log = deps.log;
    this.clock = deps.clock;
    this.options = options;
  }

  /** Opens the store and imports headers. Throws CHAIN_STORE, CHAIN_INVALID. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { network, path, headersFile } = this.options;
    this.store = ChainStore.open(path, network.name);
    if (this.store.byHash(genesisOf(network).hash) === undefined) this.store.insert([genesisOf(network)]);
    const dropped = this.store.dropBranches();
    if (dropped > 0) this.log.info({ dropped, height: this.best().height }, 'dropped headers of branches');
    if (headersFile !== undefined) {
      const imported = await importHeaders(this.store, headersFile, network, this.nowSeconds());
      this.log.info({ file: headersFile, imported, height: this.best().height }, 'imported headers');
    }
    this.startMiner();
  }

  async stop(): Promise<void> {
    clearInterval(this.miner);
    this.listeners.clear();
    for (const release of this.idleWaiters) release();
    this.store?.close();
    this.store = undefined;
  }

  async bestBlockHeader(): Promise<BlockHeaderRecord> {
    return this.best();
  }

  async blockHeader(hash: BlockHash): Promise<BlockHeaderRecord | undefined> {
    return this.opened().byHash(hash);
  }

  async getState(key: string): Promise<Uint8Array | undefined> {
    return this.opened().getState(checkedKey(key));
  }

  async setState(key: string, data: Uint8Array): Promise<void> {
    if (data.byteLength > MAX_STATE_BYTES) throw new RangeError('a state value has at most 1 MiB');
    this.opened().setState(checkedKey(key), data);
  }

  async fsmState(): Promise<FsmState> {
    return this.state;
  }

  /** For tests and demos: changes the FSM state and notifies subscribers. */
  setFsmState(state: FsmState): void {
    this.state = state;
    this.notify([{ type: 'fsm_state', state }]);
    if (state !== 'IDLE') for (const release of this.idleWaiters) release();
  }

  /** Changes the FSM state, if it is `from`. */
  moveFsm(from: FsmState, to: FsmState): void {
    if (this.state === from) this.setFsmState(to);
  }

  async waitUntilFsmLeavesIdle(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.state !== 'IDLE') return;
    await new Promise<void>((resolve) => {
      const done = () => {
        this.idleWaiters.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.idleWaiters.add(done);
      signal.addEventListener('abort', done);
    });
    signal.throwIfAborted();
  }

  subscribe(_source: string, listener: Listener): () => void {
    if (this.listeners.size >= MAX_SUBSCRIBERS) throw new RangeError(`at most ${MAX_SUBSCRIBERS} subscribers`);
    this.listeners.add(listener);
    const tip = this.best().hash;
    queueMicrotask(() => {
      if (this.listeners.has(listener)) this.call(listener, { type: 'block', hash: tip });
    });
    return () => this.listeners.delete(listener);
  }

  async probe(): Promise<ProbeResult> {
    if (this.store === undefined) return { ok: false, details: 'embedded chain is closed' };
    return { ok: true, details: `embedded chain at height ${this.best().height}` };
  }

  /** Adds a header on any known parent; subscribers are notified when it becomes the tip. Throws CHAIN_INVALID. */
  addHeader(
    bytes: Uint8Array,
    facts: BlockFacts = HEADER_ONLY,
    subtrees: readonly SubtreeHash[] = [],
  ): BlockHeaderRecord {
    const store = this.opened();
    const header = parseHeader(bytes);
    const parent = header === undefined ? undefined : store.byHash(header.previousHash);
    if (parent === undefined) throw new P2PError('CHAIN_INVALID', 'the parent of the header is unknown');
    const child = childOf(
      bytes,
      { parent, lastTimes: this.lastTimes(parent) },
      this.options.network,
      this.nowSeconds(),
      facts,
    );
    if (store.byHash(child.hash) !== undefined) return child;
    store.insert([child]);
    if (this.best().hash === child.hash) {
      this.notify([
        ...subtrees.map((hash): BlockchainNotification => ({ type: 'subtree', hash })),
        { type: 'block', hash: child.hash },
        { type: 'mining_on', hash: child.hash },
      ]);
    }
    return child;
  }

  /**
   * Adds checked headers, oldest first, whose first has a known parent; subscribers are told of the last when it becomes
   * the tip.
   */
  addChecked(headers: readonly CheckedHeader[]): void {
    const store = this.opened();
    const before = this.best().hash;
    store.insert(headers.map((header) => ({ ...header, invalid: false, ...HEADER_ONLY })));
    const { hash } = this.best();
    if (hash === before) return;
    this.notify([
      { type: 'block', hash },
      { type: 'mining_on', hash },
    ]);
  }

  /** A header to check children of, with what the rules need. */
  parentView(hash: BlockHash): ParentView | undefined {
    const parent = this.opened().byHash(hash);
    return parent && { parent, lastTimes: this.lastTimes(parent) };
  }

  best(): StoredHeader {
    const best = this.opened().best();
    if (best === undefined) throw new P2PError('CHAIN_STORE', 'the embedded chain is empty');
    return best;
  }

  header(hash: BlockHash): BlockHeaderRecord | undefined {
    return this.opened().byHash(hash);
  }

  headersBack(hash: BlockHash, count: number): readonly BlockHeaderRecord[] | undefined {
    const from = this.opened().byHash(hash);
    return from && chainBack(this.opened(), from, count);
  }

  headersFromAncestor(target: BlockHash, locator: readonly BlockHash[], count: number) {
    const end = this.opened().byHash(target);
    return end && chainFrom(this.opened(), end, locator, count);
  }

  /** Hashes of the best chain from its tip back, ever further apart, as DataHubs take them. */
  locator(): BlockHash[] {
    return locatorOf(this.opened(), this.best());
  }

  block(hash: BlockHash): Uint8Array | undefined {
    const record = this.opened().byHash(hash);
    const coinbase = this.opened().coinbaseOf(hash);
    // Without other transactions a block of Teranode has no subtrees: its merkle root is its coinbase.
    return record && coinbase && encodeTeranodeBlock({ ...record, coinbase, subtrees: [] });
  }

  subtree(hash: SubtreeHash): Uint8Array | undefined {
    return this.opened().hasMinedTx(hash) ? hashToBytes(hash) : undefined;
  }

  /** Tells subscribers that a peer did not deliver what it announced. */
  peerFailed(peerId: string, reason: string): void {
    this.notify([{ type: 'peer_failure', peerId, failureType: 'catchup', reason }]);
  }

  /** Mines one block on the tip; regtest only. */
  mine(): BlockHeaderRecord {
    const parent = this.best();
    const minTime = medianOf(this.lastTimes(parent)) + 1;
    const block = mineBlock(parent, minTime, this.nowSeconds(), this.options.network, this.options.minerText);
    this.opened().insertMined(hashHeader(block.header), block.coinbase, block.subtree);
    return this.addHeader(block.header, block.facts, [block.subtree]);
  }

  private startMiner(): void {
    const { mineIntervalMs, network } = this.options;
    if (mineIntervalMs === undefined) return;
    if (network.name !== 'regtest') {
      this.log.warn({ network: network.name }, 'ignoring embedded_chain_mine_interval, mining needs regtest');
      return;
    }
    this.miner = setInterval(() => {
      // On a tip that is about to be left, a block would be lost.
      if (this.state !== 'RUNNING') return;
      try {
        const { height, hash } = this.mine();
        this.log.info({ height, hash }, 'block mined');
      } catch (error) {
        this.log.error({ err: error }, 'failed to mine block');
      }
    }, mineIntervalMs);
    this.miner.unref();
  }

  /** Times of a header and of up to ten headers before it, oldest first. */
  private lastTimes(header: StoredHeader): number[] {
    const times: number[] = [];
    for (let at: StoredHeader | undefined = header; at !== undefined && times.length < MEDIAN_SPAN; ) {
      const parsed = parseHeader(at.header);
      if (parsed === undefined) break;
      times.unshift(parsed.time);
      at = this.opened().byHash(parsed.previousHash);
    }
    return times;
  }

  private notify(notifications: readonly BlockchainNotification[]): void {
    for (const notification of notifications) for (const listener of this.listeners) this.call(listener, notification);
  }

  private call(listener: Listener, notification: BlockchainNotification): void {
    try {
      listener(notification);
    } catch (error) {
      this.log.error({ notification: notification.type, err: error }, 'blockchain subscriber failed');
    }
  }

  private opened(): ChainStore {
    if (this.store === undefined) throw new P2PError('CHAIN_STORE', 'the embedded chain is closed');
    return this.store;
  }

  private nowSeconds(): number {
    return Math.floor(this.clock.now() / 1000);
  }
}

function checkedKey(key: string): string {
  if (key.length === 0 || key.length > MAX_KEY_CHARS)
    throw new RangeError(`a state key has 1 to ${MAX_KEY_CHARS} characters`);
  return key;
}
