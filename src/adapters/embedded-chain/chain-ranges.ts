// Ranges of the stored chain, as peers ask for them, within a bounded number of rows each. Branches that are longer
// than a hundred headers are not told apart far below a tip: there the one with the most work counts.
import type { BlockHash } from '../../domain/ids.ts';
import type { ChainStore, StoredHeader } from './chain-store.ts';

/** How far from a tip its ancestors are followed one by one. */
const NEAR = 500;
/** A header with this many above it is on the chain that most work was put into. */
const BRANCH = 100;
/** Of a locator: 64 hashes reach back to genesis from any height. */
const MAX_LOCATOR = 64;
/** After this many hashes the gaps of a locator double. */
const DENSE = 10;

/** Hashes from the tip back, ever further apart; the last is genesis. */
export function locatorOf(store: ChainStore, tip: StoredHeader): BlockHash[] {
  const near = chainBack(store, tip, NEAR);
  const locator: BlockHash[] = [];
  let step = 1;
  for (let height = tip.height; height > 0; height -= step) {
    const hash = (near[tip.height - height] ?? farAncestor(store, tip, height))?.hash;
    if (hash !== undefined) locator.push(hash);
    if (locator.length >= DENSE) step *= 2;
  }
  const genesis = farAncestor(store, tip, 0) ?? near.at(-1);
  return genesis === undefined ? locator : [...locator, genesis.hash];
}

/** From a header back, newest first, at most `count`; what `DataHubSource.headersBack` promises. */
export function chainBack(store: ChainStore, from: StoredHeader, count: number): StoredHeader[] {
  return store.back(from.hash, count);
}

/** What `DataHubSource.headersFromAncestor` promises. */
export function chainFrom(
  store: ChainStore,
  target: StoredHeader,
  locator: readonly BlockHash[],
  count: number,
): StoredHeader[] | undefined {
  const ancestor = commonAncestor(store, target, locator);
  if (ancestor === undefined) return undefined;
  const height = Math.min(target.height, ancestor.height + count - 1);
  const end =
    target.height - height < NEAR
      ? chainBack(store, target, target.height - height + 1).at(-1)
      : farAncestor(store, target, height);
  if (end === undefined) return undefined;
  const chain = chainBack(store, end, end.height - ancestor.height + 1).reverse();
  return chain[0]?.hash === ancestor.hash ? chain : undefined;
}

function commonAncestor(
  store: ChainStore,
  target: StoredHeader,
  locator: readonly BlockHash[],
): StoredHeader | undefined {
  const near = new Set(chainBack(store, target, NEAR).map(({ hash }) => hash));
  for (const hash of new Set(locator.slice(0, MAX_LOCATOR))) {
    const known = store.byHash(hash);
    if (known === undefined || known.height > target.height) continue;
    const isNear = target.height - known.height < NEAR;
    if (isNear ? near.has(hash) : farAncestor(store, target, known.height)?.hash === hash) return known;
  }
  return undefined;
}

/** The header at a height far below a tip. */
function farAncestor(store: ChainStore, tip: StoredHeader, height: number): StoredHeader | undefined {
  const top = store.bestAt(Math.min(tip.height, height + BRANCH));
  return top && chainBack(store, top, top.height - height + 1).at(-1);
}
