// A bounded tree of checked headers in memory. It begins at an anchor, which the caller vouches for, and follows the
// most work; of equals the one that came first. Side branches leave first when it is full, then the oldest headers.
import type { ChainEvent, ChainPoint } from '../domain/chain-event.ts';
import type { BlockHash } from '../domain/ids.ts';
import { hashHeader, parseHeader } from '../wire/header.ts';
import { type CheckedHeader, checkChild, type HeaderFault, MEDIAN_SPAN } from '../wire/header-rules.ts';
import type { NetworkParameters } from '../wire/networks.ts';
import { findFork } from './fork.ts';

/** A header of the tree. */
export interface TreeHeader extends CheckedHeader {
  readonly previousHash: BlockHash;
}

export type Added =
  /**
   * `isNew`: false for a header that the tree had, and for one that left at once because the tree was full. `isTip`: it
   * has become the tip just now.
   */
  | { readonly ok: true; readonly header: TreeHeader; readonly isNew: boolean; readonly isTip: boolean }
  /** Its parent is not in the tree; add that one first. */
  | { readonly ok: false; readonly fault: 'orphan'; readonly missingParent: BlockHash; readonly details: string }
  | { readonly ok: false; readonly fault: HeaderFault; readonly details: string };

export interface HeaderTreeOptions {
  readonly network: NetworkParameters;
  /** The first header; not checked. Headers below it are never asked for. */
  readonly anchor: CheckedHeader;
  /** Headers kept, with those of side branches. Default 10,000, about 5 MB; at least 100. */
  readonly maxHeaders?: number;
}

interface Node extends TreeHeader {
  readonly time: number;
  /** Number of kept headers on top of it. */
  children: number;
}

const MAX_HEADERS = 10_000;
const MIN_HEADERS = 100;
/** Headers leave in batches of this share of the bound, because each batch costs a sort. */
const BATCH = 0.1;

export class HeaderTree {
  readonly maxHeaders: number;
  private readonly options: HeaderTreeOptions;
  private readonly nowSeconds: () => number;
  private readonly nodes = new Map<BlockHash, Node>();
  private readonly listeners = new Set<(event: ChainEvent) => void>();
  /** Events that wait for listeners which are called with an earlier one. */
  private readonly untold: ChainEvent[] = [];
  private isTelling = false;
  private best: Node;
  /** The lowest header of the best chain. */
  private root: Node;
  private pruned = 0;

  /** `now`: Unix ms. */
  constructor({ now }: { readonly now: () => number }, options: HeaderTreeOptions) {
    this.options = options;
    this.nowSeconds = () => Math.floor(now() / 1000);
    const { maxHeaders = MAX_HEADERS } = options;
    // NaN fails every comparison, so the smaller bound holds for it.
    this.maxHeaders = maxHeaders >= MIN_HEADERS ? maxHeaders : MIN_HEADERS;
    this.root = nodeOf(options.anchor);
    this.best = this.root;
    this.nodes.set(this.root.hash, this.root);
  }

  get size(): number {
    return this.nodes.size;
  }

  /** Headers that left because the tree was full. */
  get prunedCount(): number {
    return this.pruned;
  }

  tip(): TreeHeader {
    return this.best;
  }

  /** The lowest header of the best chain that is kept: the anchor, until headers above it had to leave. */
  lowest(): TreeHeader {
    return this.root;
  }

  get(hash: BlockHash): TreeHeader | undefined {
    return this.nodes.get(hash);
  }

  /** Whether the header is on the best chain, as far back as it is kept. Costs a step per header above it. */
  isOnBestChain(hash: BlockHash): boolean {
    const wanted = this.nodes.get(hash);
    if (wanted === undefined) return false;
    let at: Node | undefined = this.best;
    while (at !== undefined && at.height > wanted.height) at = this.nodes.get(at.previousHash);
    return at === wanted;
  }

  /**
   * Checks a header and adds it. Listeners are called before it returns; for one that is added by a listener, once all
   * have been called with what came before.
   */
  add(bytes: Uint8Array): Added {
    return this.addChain([bytes])[0] ?? { ok: false, fault: 'form', details: 'no header' };
  }

  /**
   * As `add`, for headers that follow from each other, oldest first. Ends with the first that is not taken. Listeners
   * get one tip for all, and one reorganisation at most.
   */
  addChain(headers: readonly Uint8Array[]): Added[] {
    const before = this.best;
    const all: Added[] = [];
    let parted: ChainPoint | undefined;
    for (const bytes of headers) {
      const previous = this.best;
      const added = this.insert(bytes);
      all.push(added);
      if (!added.ok) break;
      if (!added.isTip) continue;
      // Once they are on the tip, the others only extend it.
      const fork = findFork([previous, this.best], (hash) => this.nodes.get(hash), 2 * this.maxHeaders);
      if (fork !== undefined && fork.hash !== previous.hash) parted ??= fork;
      if (this.nodes.size > this.maxHeaders) this.prune();
    }
    if (this.best !== before) this.tellMove(before, parted);
    return all;
  }

  private insert(bytes: Uint8Array): Added {
    const parsed = parseHeader(bytes);
    if (parsed === undefined)
      return { ok: false, fault: 'form', details: `a header of ${bytes.byteLength} bytes (expected 80)` };
    const hash = hashHeader(bytes);
    const known = this.nodes.get(hash);
    if (known !== undefined) return { ok: true, header: known, isNew: false, isTip: false };
    const parent = this.nodes.get(parsed.previousHash);
    if (parent === undefined)
      return { ok: false, fault: 'orphan', missingParent: parsed.previousHash, details: 'its parent is not known' };
    const view = { parent, lastTimes: this.lastTimes(parent) };
    const checked = checkChild(bytes, view, this.options.network, this.nowSeconds(), hash);
    if (!checked.ok) return checked;
    const node = { ...nodeOf(checked.child), previousHash: parent.hash };
    this.nodes.set(hash, node);
    parent.children += 1;
    const isTip = node.chainWork > this.best.chainWork;
    if (isTip) this.best = node;
    else if (this.nodes.size > this.maxHeaders) this.prune();
    return { ok: true, header: node, isNew: this.nodes.has(hash), isTip };
  }

  /** The listener must not throw. It is called until the returned function is. */
  subscribe(listener: (event: ChainEvent) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private tellMove(from: Node, fork: ChainPoint | undefined): void {
    const to = this.best;
    if (fork !== undefined) this.untold.push({ type: 'reorg', from: pointOf(from), to: pointOf(to), fork });
    this.untold.push({ type: 'tip', ...pointOf(to), header: to.header });
    if (this.isTelling) return;
    this.isTelling = true;
    try {
      for (let event = this.untold.shift(); event !== undefined; event = this.untold.shift())
        for (const listener of [...this.listeners]) listener(event);
    } finally {
      this.isTelling = false;
    }
  }

  /** Times of a header and of up to ten headers before it. */
  private lastTimes(header: Node): number[] {
    const times: number[] = [];
    for (let at: Node | undefined = header; at !== undefined && times.length < MEDIAN_SPAN; ) {
      times.push(at.time);
      at = this.nodes.get(at.previousHash);
    }
    return times;
  }

  private prune(): void {
    const goal = Math.floor(this.maxHeaders * (1 - BATCH));
    const before = this.nodes.size;
    const bestChain = this.bestChain();
    this.pruneBranches(bestChain, goal);
    while (this.nodes.size > goal) this.dropRoot(bestChain);
    this.pruned += before - this.nodes.size;
  }

  /** Newest first. */
  private bestChain(): Node[] {
    const chain: Node[] = [];
    for (let at: Node | undefined = this.best; at !== undefined; at = this.nodes.get(at.previousHash)) chain.push(at);
    return chain;
  }

  /** From the tips of the branches down, so that every header that stays has its parent; those with least work first. */
  private pruneBranches(bestChain: readonly Node[], goal: number): void {
    const kept = new Set(bestChain);
    const leaves = [...this.nodes.values()].filter((node) => node.children === 0 && !kept.has(node));
    leaves.sort((a, b) => (a.chainWork < b.chainWork ? -1 : 1));
    for (const leaf of leaves) {
      let at: Node | undefined = leaf;
      while (at !== undefined && at.children === 0 && !kept.has(at) && this.nodes.size > goal) at = this.drop(at);
    }
  }

  /** Only called when there are no branches left. */
  private dropRoot(bestChain: Node[]): void {
    bestChain.pop();
    const next = bestChain.at(-1);
    if (next === undefined) return;
    this.nodes.delete(this.root.hash);
    this.root = next;
  }

  /** Returns its parent. */
  private drop(node: Node): Node | undefined {
    this.nodes.delete(node.hash);
    const parent = this.nodes.get(node.previousHash);
    if (parent !== undefined) parent.children -= 1;
    return parent;
  }
}

function nodeOf(checked: CheckedHeader): Node {
  const { hash, header, height, chainWork } = checked;
  const parsed = parseHeader(header);
  if (parsed === undefined) throw new RangeError(`a header has 80 bytes, not ${header.byteLength}`);
  return { hash, header, height, chainWork, previousHash: parsed.previousHash, time: parsed.time, children: 0 };
}

function pointOf({ hash, height }: ChainPoint): ChainPoint {
  return { hash, height };
}
