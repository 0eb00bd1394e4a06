// Which ban leaves a full list. Bans of operators, and those imported from a Go deployment, have priority over
// automatic bans and those of the blockchain service, and these over automatic bans of unconnected authors. A new
// identity costs an offender nothing, so unconnected authors have a small table of their own, in which they evict one
// another only.
import type { Ban, BanEntry } from '../../domain/ban.ts';
import { MinHeap } from '../../lib/min-heap.ts';

/** From the first to leave to the last. */
const CLASSES = ['unconnected', 'automatic', 'operator'] as const;
export type BanClass = (typeof CLASSES)[number];

/** End of the evidence of an automatic ban of a peer that was not connected when it was banned. */
export const NOT_CONNECTED = 'its author is not connected directly';

/** Begin of the evidence when the last points came from the operator, or from another service. */
const OPERATOR_RULE = 'operator;';

const MAX_UNCONNECTED = 1000;
/** Share of the whole list. */
const UNCONNECTED_SHARE = 1 / 10;

/** Maximum number of bans of unconnected authors in a list of `p2p_ban_max_entries`. */
export function maxUnconnected(maxEntries: number): number {
  return Math.max(1, Math.min(MAX_UNCONNECTED, Math.floor(maxEntries * UNCONNECTED_SHARE)));
}

export function banClass({ source, kind, evidence }: Pick<BanEntry, 'source' | 'kind' | 'evidence'>): BanClass {
  if (source !== 'automatic' && source !== 'service') return 'operator';
  const isOfStranger = source === 'automatic' && kind === 'peer' && evidence.endsWith(NOT_CONNECTED);
  return isOfStranger && !evidence.startsWith(OPERATOR_RULE) ? 'unconnected' : 'automatic';
}

const rank = (entry: BanEntry) => CLASSES.indexOf(banClass(entry));

/** A heap may hold this many bans that are no longer listed for each one that is. */
const MAX_STALE_SHARE = 1;
const MIN_STALE = 64;

/** The bans of a list by class, each class in the order in which its bans end. */
export class EvictionOrder {
  private readonly isListed: (ban: Ban) => boolean;
  private readonly heaps: Readonly<Record<BanClass, MinHeap<Ban>>>;
  private readonly sizes: Record<BanClass, number> = { unconnected: 0, automatic: 0, operator: 0 };

  constructor(isListed: (ban: Ban) => boolean) {
    this.isListed = isListed;
    const heap = () => new MinHeap<Ban>((one, other) => one.untilMs < other.untilMs);
    this.heaps = { unconnected: heap(), automatic: heap(), operator: heap() };
  }

  size(of: BanClass): number {
    return this.sizes[of];
  }

  /** The ban was added to the list. */
  added(ban: Ban): void {
    const of = banClass(ban);
    this.sizes[of] += 1;
    const heap = this.heaps[of];
    heap.push(ban);
    // What was removed or replaced stays in its heap until it comes up, or until it is this many.
    if (heap.size > this.sizes[of] * (1 + MAX_STALE_SHARE) + MIN_STALE) heap.retain(this.isListed);
  }

  /** The ban was removed from the list, or replaced. */
  removed(ban: Ban): void {
    this.sizes[banClass(ban)] -= 1;
  }

  /** The ban of a class that ends soonest, other than the one of `exceptKey`. O(log n). */
  soonest(of: BanClass, exceptKey?: string): Ban | undefined {
    const heap = this.heaps[of];
    const first = this.first(heap);
    if (first === undefined || first.key !== exceptKey) return first;
    heap.pop();
    const second = this.first(heap);
    heap.push(first);
    return second;
  }

  private first(heap: MinHeap<Ban>): Ban | undefined {
    for (;;) {
      const ban = heap.peek();
      if (ban === undefined || this.isListed(ban)) return ban;
      heap.pop();
    }
  }
}

/**
 * The ban that ends soonest of the first class that has one and does not rank above that of `entry`. A ban never evicts
 * the ban that caused it. undefined when no ban may be evicted.
 */
export function selectEviction(entry: BanEntry, order: EvictionOrder): Ban | undefined {
  for (const of of CLASSES.slice(0, rank(entry) + 1)) {
    const ban = order.soonest(of, entry.causedBy);
    if (ban !== undefined) return ban;
  }
  return undefined;
}

/** At most `maxEntries`, with few of unconnected authors: the highest classes first, and of each class those that end last. */
export function fitting(entries: readonly BanEntry[], maxEntries: number): readonly BanEntry[] {
  const bound = maxUnconnected(maxEntries);
  const isUnconnected = (entry: BanEntry) => banClass(entry) === 'unconnected';
  if (entries.length <= maxEntries && entries.filter(isUnconnected).length <= bound) return entries;
  const sorted = entries.toSorted((a, b) => rank(b) - rank(a) || b.untilMs - a.untilMs);
  const others = sorted.filter((entry) => !isUnconnected(entry));
  return [...others, ...sorted.filter(isUnconnected).slice(0, bound)].slice(0, maxEntries);
}

/** Whether `entry` should replace `evicted`, which {@link selectEviction} chose. */
export function outlasts(entry: BanEntry, evicted: BanEntry): boolean {
  return rank(entry) === rank(evicted) ? entry.untilMs > evicted.untilMs : rank(entry) > rank(evicted);
}
