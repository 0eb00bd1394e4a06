// Follows the chain of headers from announcements: checks each header, and fetches those that are missing from the
// DataHubs of announcers. What they say is checked, what they cost is bounded: a few fetches at a time, each with a
// deadline, a budget for each author, and a tree of limited size.
import { HeaderTree, type TreeHeader } from '../chain/header-tree.ts';
import type { ChainEvent } from '../domain/chain-event.ts';
import type { BlockHash, PeerId } from '../domain/ids.ts';
import { BoundedQueue } from '../lib/bounded-queue.ts';
import { TokenBuckets } from '../lib/token-bucket.ts';
import type { DataHubClient, FetchedHeader } from '../ports/datahub-client.ts';
import { checkProofOfWork, hashHeader, parseHeader, targetFromCompact, workOfTarget } from '../wire/header.ts';
import { type CheckedHeader, genesisHeader } from '../wire/header-rules.ts';
import type { NetworkParameters } from '../wire/networks.ts';

/** A block that a peer named. */
export interface AnnouncedHeader {
  readonly hash: BlockHash;
  readonly height: number;
  readonly header: Uint8Array | undefined;
  readonly author: PeerId;
  /** DataHubs to ask, best first. */
  readonly urls: readonly string[];
}

/** A header that the caller vouches for. */
export interface Anchor {
  /** 80 bytes. */
  readonly header: Uint8Array;
  readonly height: number;
}

export interface FollowOptions {
  readonly network: NetworkParameters;
  readonly anchor: Anchor | 'genesis' | undefined;
  readonly depth: number;
  readonly maxHeaders: number;
}

export interface FollowCounts {
  /** Announcements whose headers could not be fetched or broke a rule. */
  readonly failedFills: number;
  /** Announcements that were not looked at because too many waited, or their author had used up its budget. */
  readonly skipped: number;
  /** Headers whose rules did not hold, by rule. */
  readonly refused: Readonly<Record<string, number>>;
}

const MAX_WAITING = 32;
const MAX_FILLS = 2;
const MAX_URLS_PER_FILL = 3;
const HEADERS_PER_REQUEST = 2000;
/** A million headers: the way from the genesis block of the longest chain. */
const MAX_ROUNDS = 500;
/** What one author may make this program fetch; a node announces a block every ten minutes, a status every ten seconds. */
const AUTHOR_FILLS = { perSecond: 1 / 5, burst: 10 } as const;
const MAX_AUTHORS = 1000;
const LOCATOR_HASHES = 32;
/**
 * A header with so many times the work of the tip, from a chain that does not meet ours, shows that ours began with a
 * liar's: mining that easily is within everybody's reach.
 */
const HARDER = 16n;

export class HeaderFollower {
  private readonly client: Pick<DataHubClient, 'headersBack' | 'headersFromAncestor'>;
  private readonly now: () => number;
  private readonly monotonic: () => number;
  private readonly options: FollowOptions;
  private readonly emit: (event: ChainEvent) => void;
  private readonly budgets = new TokenBuckets<PeerId>(AUTHOR_FILLS, MAX_AUTHORS);
  private readonly waiting: BoundedQueue<AnnouncedHeader>;
  private readonly filling = new Set<BlockHash>();
  private readonly ended = new AbortController();
  private readonly refused: Record<string, number> = {};
  private failedFills = 0;
  private skipped = 0;
  private tree: HeaderTree | undefined;
  private unsubscribe: () => void = () => {};

  /** `emit` must not throw. Throws RangeError for an anchor that is no header. */
  constructor(
    deps: {
      readonly client: Pick<DataHubClient, 'headersBack' | 'headersFromAncestor'>;
      readonly now: () => number;
      readonly monotonic: () => number;
      readonly emit: (event: ChainEvent) => void;
    },
    options: FollowOptions,
  ) {
    this.client = deps.client;
    this.now = deps.now;
    this.monotonic = deps.monotonic;
    this.emit = deps.emit;
    this.options = options;
    this.waiting = new BoundedQueue({ maxItems: MAX_WAITING, onDrop: () => this.skip() });
    const { anchor, network } = options;
    if (anchor === 'genesis') this.begin(this.treeAt(genesisHeader(network)));
    else if (anchor !== undefined) this.begin(this.treeAt(checkedAnchor(anchor)));
  }

  /** undefined until the first chain was found. */
  tip(): TreeHeader | undefined {
    return this.tree?.tip();
  }

  get(hash: BlockHash): TreeHeader | undefined {
    return this.tree?.get(hash);
  }

  isOnBestChain(hash: BlockHash): boolean {
    return this.tree?.isOnBestChain(hash) ?? false;
  }

  get size(): number {
    return this.tree?.size ?? 0;
  }

  counts(): FollowCounts {
    const { failedFills, skipped, refused } = this;
    return { failedFills, skipped, refused: { ...refused } };
  }

  /** Adds the header at once where its parent is known; otherwise what is missing is fetched. */
  announced(block: AnnouncedHeader): void {
    if (this.ended.signal.aborted || this.tree?.get(block.hash) !== undefined) return;
    if (block.header !== undefined && this.tree !== undefined) {
      const added = this.tree.add(block.header);
      if (added.ok) return;
      if (added.fault !== 'orphan') {
        this.refuse(added.fault);
        return;
      }
    }
    if (this.filling.has(block.hash) || block.urls.length === 0) return;
    if (this.budgets.take(block.author, this.monotonic())) this.waiting.push(block);
    else this.skip();
    this.fillNext();
  }

  /** Ends what is under way; nothing is emitted any more. */
  stop(): void {
    this.ended.abort();
    this.unsubscribe();
  }

  private fillNext(): void {
    while (this.filling.size < MAX_FILLS && !this.ended.signal.aborted) {
      const block = this.waiting.shift();
      if (block === undefined) return;
      if (this.filling.has(block.hash) || this.tree?.get(block.hash) !== undefined) continue;
      this.filling.add(block.hash);
      void this.fill(block).then((isFilled) => {
        this.filling.delete(block.hash);
        if (!isFilled && !this.ended.signal.aborted) this.failedFills += 1;
        this.fillNext();
      });
    }
  }

  /** Never rejects: the client's calls never do. */
  private async fill(block: AnnouncedHeader): Promise<boolean> {
    for (const url of block.urls.slice(0, MAX_URLS_PER_FILL)) {
      if (this.tree === undefined || !(await this.fillGap(this.tree, block, url))) await this.beginAt(block, url);
      if (this.ended.signal.aborted) return false;
      if (this.tree?.get(block.hash) !== undefined) return true;
    }
    return false;
  }

  /** Fetches from the last common header on. False when the DataHub's chain does not meet ours. */
  private async fillGap(tree: HeaderTree, block: AnnouncedHeader, url: string): Promise<boolean> {
    const { signal } = this.ended;
    let last: BlockHash | undefined;
    for (let round = 0; round < MAX_ROUNDS && tree === this.tree; round += 1) {
      const locator = locatorOf(tree, last);
      const answer = await this.client.headersFromAncestor(url, block.hash, locator, HEADERS_PER_REQUEST, signal);
      if (!answer.ok || signal.aborted || tree !== this.tree) return false;
      const added = this.addAll(tree, answer.value);
      if (tree.get(block.hash) !== undefined) return true;
      if (added.count === 0) return false;
      last = added.last;
    }
    return false;
  }

  /** How many were new, and the last. Stops at the first that breaks a rule. */
  private addAll(tree: HeaderTree, headers: readonly FetchedHeader[]): { count: number; last: BlockHash | undefined } {
    const all = tree.addChain(headers.map(({ header }) => header));
    const added = all.flatMap((each) => (each.ok ? [each] : []));
    for (const each of all) if (!each.ok) this.refuse(each.fault);
    return { count: added.filter(({ isNew }) => isNew).length, last: added.at(-1)?.header.hash };
  }

  /** Begins with the chain that ends in this block, where there is none, or where ours turns out to be a liar's. */
  private async beginAt(block: AnnouncedHeader, url: string): Promise<void> {
    const { signal } = this.ended;
    if (this.tree !== undefined && (this.options.anchor !== undefined || !this.isHarder(block.header))) return;
    const before = this.tree;
    const answer = await this.client.headersBack(url, block.hash, this.options.depth + 1, signal);
    // Another fill may have been faster.
    if (!answer.ok || signal.aborted || this.tree !== before) return;
    const [oldest, ...others] = answer.value.toReversed();
    const height = block.height - others.length;
    const { powLimitBits } = this.options.network;
    if (oldest === undefined || height < 0) return this.refuse('height');
    const work = checkProofOfWork(oldest.header, powLimitBits, oldest.hash);
    if (work !== 'ok') return this.refuse(work);
    const tree = this.treeAt(checkedAnchor({ header: oldest.header, height }, oldest.hash));
    if (this.addAll(tree, others).count < others.length) return;
    this.begin(tree);
    const { hash, header, height: tipHeight } = tree.tip();
    this.emit({ type: 'tip', hash, height: tipHeight, header });
  }

  private isHarder(header: Uint8Array | undefined): boolean {
    const tip = this.tree?.tip();
    return header !== undefined && tip !== undefined && workOf(header) > HARDER * workOf(tip.header);
  }

  private treeAt(anchor: CheckedHeader): HeaderTree {
    const { network, maxHeaders } = this.options;
    return new HeaderTree({ now: this.now }, { network, anchor, maxHeaders });
  }

  private begin(tree: HeaderTree): void {
    this.unsubscribe();
    this.tree = tree;
    this.unsubscribe = tree.subscribe(this.emit);
  }

  private refuse(rule: string): void {
    this.refused[rule] = (this.refused[rule] ?? 0) + 1;
  }

  private skip(): void {
    this.skipped += 1;
  }
}

function checkedAnchor({ header, height }: Anchor, hash?: BlockHash): CheckedHeader {
  const parsed = parseHeader(header);
  if (parsed === undefined) throw new RangeError(`an anchor has 80 bytes, not ${header.byteLength}`);
  // Work is compared from here on only.
  return { hash: hash ?? hashHeader(header), header, height, chainWork: workOf(header) };
}

function workOf(header: Uint8Array): bigint {
  const target = targetFromCompact(parseHeader(header)?.bits ?? 0);
  return target === undefined ? 0n : workOfTarget(target);
}

/** Hashes of the best chain, newest first, denser near the tip; after `from`, the header that was fetched last. */
function locatorOf(tree: HeaderTree, from: BlockHash | undefined): BlockHash[] {
  const hashes: BlockHash[] = [];
  const start = (from === undefined ? undefined : tree.get(from)) ?? tree.tip();
  const lowest = tree.lowest();
  let step = 1;
  for (let at: TreeHeader | undefined = start; at !== undefined && hashes.length < LOCATOR_HASHES - 1; ) {
    hashes.push(at.hash);
    if (hashes.length > 8) step *= 2;
    for (let i = 0; i < step && at !== undefined; i += 1) at = tree.get(at.previousHash);
  }
  return hashes.includes(lowest.hash) ? hashes : [...hashes, lowest.hash];
}
