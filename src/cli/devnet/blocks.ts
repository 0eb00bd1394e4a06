// Which nodes have heard of each mined block, and when.

export interface HeardBlock {
  readonly event: 'block';
  readonly node: number;
  readonly height: number;
  readonly hash: string;
  /** Of so many other nodes, and how many took it as their tip; the slowest of these after so many ms. */
  readonly of: number;
  readonly heardBy: number;
  readonly withinMs: number;
}

interface Block {
  readonly miner: { readonly node: number; readonly height: number } | undefined;
  readonly sinceMs: number;
  /** Node -> when it took the block as its tip. */
  readonly heardMs: Map<number, number>;
  readonly timer: NodeJS.Timeout;
}

/** Nodes that have not heard of a block by then are cut off, slow or on another branch. */
const WAIT_MS = 3000;
/** Of blocks that wait; a block beyond is not told. */
const MAX_BLOCKS = 1000;

export class MinedBlocks {
  private readonly blocks = new Map<string, Block>();
  private readonly deps: { readonly nodes: () => number; readonly tell: (block: HeardBlock) => void };

  /** `nodes`: how many run. */
  constructor(deps: { readonly nodes: () => number; readonly tell: (block: HeardBlock) => void }) {
    this.deps = deps;
  }

  mined(node: number, height: number, hash: string): void {
    this.update(hash, (block) => ({ ...block, miner: { node, height } }));
  }

  /** The block is the node's tip. May come before `mined`, which comes another way. */
  tip(node: number, hash: string): void {
    this.update(hash, (block) => {
      block.heardMs.set(node, performance.now());
      return block;
    });
  }

  stop(): void {
    for (const { timer } of this.blocks.values()) clearTimeout(timer);
    this.blocks.clear();
  }

  private update(hash: string, change: (block: Block) => Block): void {
    const known = this.blocks.get(hash);
    if (known === undefined && this.blocks.size >= MAX_BLOCKS) return;
    const block = change(
      known ?? {
        miner: undefined,
        sinceMs: performance.now(),
        heardMs: new Map(),
        timer: setTimeout(() => this.tell(hash), WAIT_MS),
      },
    );
    this.blocks.set(hash, block);
    const { miner, heardMs } = block;
    if (miner === undefined) return;
    const others = [...heardMs.keys()].filter((node) => node !== miner.node);
    if (others.length >= this.deps.nodes() - 1) this.tell(hash);
  }

  private tell(hash: string): void {
    const block = this.blocks.get(hash);
    if (block === undefined) return;
    this.blocks.delete(hash);
    clearTimeout(block.timer);
    if (block.miner === undefined) return;
    const { node, height } = block.miner;
    const heard = [...block.heardMs].filter(([each]) => each !== node).map(([, atMs]) => atMs - block.sinceMs);
    const withinMs = Math.round(Math.max(0, ...heard));
    this.deps.tell({ event: 'block', node, height, hash, of: this.deps.nodes() - 1, heardBy: heard.length, withinMs });
  }
}
