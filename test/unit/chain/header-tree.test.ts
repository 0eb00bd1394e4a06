// The tree of headers: most work, equal work, reorganisations, orphans, its bound, and any order of headers against a
// naive model.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HeaderTree } from '../../../src/chain/header-tree.ts';
import type { ChainEvent } from '../../../src/domain/chain-event.ts';
import type { Hash } from '../../../src/domain/ids.ts';
import { hashHeader, parseHeader, targetFromCompact, workOfTarget } from '../../../src/wire/header.ts';
import { genesisHeader } from '../../../src/wire/header-rules.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { EASY_BITS, GENESIS, HARD_BITS, mineChain, mineChild } from '../../support/mined.ts';
import { mainnetHeaders } from '../../support/network.ts';

function treeOf(maxHeaders?: number, anchor = GENESIS) {
  const bound = maxHeaders === undefined ? {} : { maxHeaders };
  const tree = new HeaderTree({ now: () => Date.now() }, { network: NETWORKS.regtest, anchor, ...bound });
  const events: ChainEvent[] = [];
  tree.subscribe((event) => events.push(event));
  return { tree, events, add: (headers: readonly Uint8Array[]) => headers.map((each) => tree.add(each)) };
}

const at = (header: Uint8Array | undefined, height: number) => ({ hash: hashHeader(header as Uint8Array), height });

describe('following the most work', () => {
  test('every header on the tip becomes the tip', () => {
    const { tree, events, add } = treeOf();
    const chain = mineChain(GENESIS.header, 3, 'a');
    expect(add(chain)).toMatchObject(chain.map(() => ({ ok: true, isNew: true, isTip: true })));
    expect(events).toEqual(chain.map((header, i) => ({ type: 'tip', ...at(header, i + 1), header })));
    expect(tree.tip()).toMatchObject({ ...at(chain[2], 3), previousHash: hashHeader(chain[1] as Uint8Array) });
  });

  test('of branches with equal work the one seen first stays the best', () => {
    const { tree, events, add } = treeOf();
    const first = mineChain(GENESIS.header, 2, 'a');
    add(first);
    const before = events.length;
    expect(add(mineChain(GENESIS.header, 2, 'b')).at(-1)).toMatchObject({ ok: true, isNew: true, isTip: false });
    expect(tree.tip().hash).toBe(hashHeader(first[1] as Uint8Array));
    expect(events).toHaveLength(before);
  });

  test('a branch with more work takes over once, and says where it parted', () => {
    const { tree, events, add } = treeOf();
    const common = mineChain(GENESIS.header, 2, 'c');
    const ours = mineChain(common[1] as Uint8Array, 3, 'a');
    const theirs = mineChain(common[1] as Uint8Array, 5, 'b');
    add([...common, ...ours, ...theirs]);
    expect(events.filter(({ type }) => type === 'reorg')).toEqual([
      { type: 'reorg', from: at(ours[2], 5), to: at(theirs[3], 6), fork: at(common[1], 2) },
    ]);
    expect(tree.tip().hash).toBe(hashHeader(theirs[4] as Uint8Array));
    expect(tree.isOnBestChain(hashHeader(common[0] as Uint8Array))).toBe(true);
    expect(tree.isOnBestChain(hashHeader(ours[0] as Uint8Array))).toBe(false);
  });

  test('one header of much work beats five of little', () => {
    const { tree, events, add } = treeOf();
    const low = mineChain(GENESIS.header, 5, 'a');
    const high = mineChild(GENESIS.header, 'b', HARD_BITS);
    add([...low, high]);
    expect(tree.tip()).toMatchObject(at(high, 1));
    expect(events.at(-2)).toEqual({ type: 'reorg', from: at(low[4], 5), to: at(high, 1), fork: at(GENESIS.header, 0) });
  });
});

describe('headers that come together', () => {
  test('are told as one tip, and a branch that takes over as one reorganisation to its last header', () => {
    const { tree, events } = treeOf();
    const ours = mineChain(GENESIS.header, 3, 'a');
    const theirs = mineChain(ours[0] as Uint8Array, 6, 'b');
    tree.addChain(ours);
    expect(events).toEqual([{ type: 'tip', ...at(ours[2], 3), header: ours[2] }]);
    tree.addChain(theirs);
    expect(events.slice(1)).toEqual([
      { type: 'reorg', from: at(ours[2], 3), to: at(theirs[5], 7), fork: at(ours[0], 1) },
      { type: 'tip', ...at(theirs[5], 7), header: theirs[5] },
    ]);
  });

  test('are told with their fork, though the tree was too full to keep the old branch', () => {
    const { tree, events } = treeOf(100);
    const ours = mineChain(GENESIS.header, 30, 'a');
    const theirs = mineChain(ours[9] as Uint8Array, 75, 'b');
    tree.addChain(ours);
    tree.addChain(theirs);
    expect(tree.get(hashHeader(ours[29] as Uint8Array))).toBeUndefined();
    expect(events.at(-2)).toEqual({
      type: 'reorg',
      from: at(ours[29], 30),
      to: at(theirs[74], 85),
      fork: at(ours[9], 10),
    });
  });

  test('end with the first that is not taken, and those before it count', () => {
    const { tree, events } = treeOf();
    const chain = mineChain(GENESIS.header, 4, 'a');
    expect(tree.addChain([...chain.slice(0, 2), chain[3] as Uint8Array, chain[2] as Uint8Array])).toMatchObject([
      { ok: true },
      { ok: true },
      { ok: false, fault: 'orphan' },
    ]);
    expect(events).toMatchObject([{ type: 'tip', height: 2 }]);
  });
});

test('every listener hears the tips in their order, also those of headers that a listener adds', () => {
  const tree = new HeaderTree({ now: () => Date.now() }, { network: NETWORKS.regtest, anchor: GENESIS });
  const chain = mineChain(GENESIS.header, 3, 'a');
  const heights: number[] = [];
  tree.subscribe((event) => {
    const next = event.type === 'tip' ? chain[event.height] : undefined;
    if (next !== undefined) tree.add(next);
  });
  tree.subscribe((event) => event.type === 'tip' && heights.push(event.height));
  tree.add(chain[0] as Uint8Array);
  expect(heights).toEqual([1, 2, 3]);
});

describe('headers that the tree does not take', () => {
  test('an orphan is refused with the parent that is missing, and taken after it', () => {
    const { tree, add } = treeOf();
    const [first, second] = mineChain(GENESIS.header, 2, 'a') as [Uint8Array, Uint8Array];
    expect(tree.add(second)).toMatchObject({ ok: false, fault: 'orphan', missingParent: hashHeader(first) });
    expect(add([first, second])).toMatchObject([{ isTip: true }, { isTip: true }]);
  });

  test('a header that comes again changes nothing', () => {
    const { events, add } = treeOf();
    const chain = mineChain(GENESIS.header, 2, 'a');
    add(chain);
    expect(add(chain)).toMatchObject([{ isNew: false }, { isNew: false }]);
    expect(events).toHaveLength(2);
  });

  test.each([
    ['of 79 bytes', 'form', () => mineChild(GENESIS.header, 'a').subarray(1)],
    ['with too early a time', 'too_early', () => mineChild(GENESIS.header, 'a', EASY_BITS, 0)],
    ['of the far future', 'too_far_ahead', () => mineChild(GENESIS.header, 'a', EASY_BITS, 2_000_000_000)],
    ['with too easy a target', 'bad_target', () => mineChild(GENESIS.header, 'a').with(75, 0x21)],
    ['without its work', 'insufficient_work', () => mineChild(GENESIS.header, 'a').with(75, 0x1d)],
  ])('a header %s is refused: %s', (_what, fault, header) => {
    const { tree, add } = treeOf();
    expect(add([header()])).toMatchObject([{ ok: false, fault }]);
    expect(tree.size).toBe(1);
  });

  test('on mainnet a header of little work cannot follow one of much, though it adds some', () => {
    const anchor = { ...genesisHeader(NETWORKS.mainnet), height: 900_000 };
    // The header of a block of 2023, whose target is a hundred thousand million times as hard as the easiest.
    const hard = Uint8Array.from(anchor.header);
    new DataView(hard.buffer).setUint32(72, 0x1805_0000, true);
    const tree = new HeaderTree(
      { now: () => Date.now() },
      { network: NETWORKS.mainnet, anchor: { ...anchor, header: hard, hash: anchor.hash } },
    );
    expect(tree.add(mainnetHeaders()[1] as Uint8Array)).toMatchObject({ ok: false, fault: 'sudden_ease' });
  });
});

test('where miners work, a target may be sixteen times as easy as the one before, and no easier', () => {
  const hard = mineChild(GENESIS.header, 'hard', HARD_BITS);
  const added = [0x207ffff0, EASY_BITS].map((bits) => {
    const network = { ...NETWORKS.regtest, allowsMinDifficultyBlocks: false };
    const tree = new HeaderTree({ now: () => Date.now() }, { network, anchor: GENESIS });
    return tree.addChain([hard, mineChild(hard, 'easy', bits)])[1];
  });
  expect(added).toMatchObject([{ ok: true }, { ok: false, fault: 'sudden_ease' }]);
});

describe('headers of mainnet', () => {
  test('are taken from genesis, and from an anchor in the middle', () => {
    const headers = mainnetHeaders();
    const deps = { now: () => Date.now() };
    const whole = new HeaderTree(deps, { network: NETWORKS.mainnet, anchor: genesisHeader(NETWORKS.mainnet) });
    for (const header of headers.slice(1)) whole.add(header);
    expect(whole.tip().height).toBe(4999);
    const anchor = whole.get(hashHeader(headers[2500] as Uint8Array));
    if (anchor === undefined) throw new Error('header 2,500 is missing');
    const part = new HeaderTree(deps, { network: NETWORKS.mainnet, anchor });
    for (const header of headers.slice(2501)) part.add(header);
    expect(part.tip()).toEqual({ ...whole.tip(), children: 0 });
  });
});

describe('the bound', () => {
  test('a header that leaves at once is not new', () => {
    const { tree, add } = treeOf(100);
    add(mineChain(GENESIS.header, 99, 'main'));
    const side = mineChild(GENESIS.header, 'side');
    expect(tree.add(side)).toMatchObject({ ok: true, isNew: false, isTip: false });
    expect(tree.get(hashHeader(side))).toBeUndefined();
  });

  test('is the smallest for NaN', () => expect(treeOf(Number.NaN).tree.maxHeaders).toBe(100));

  test('side branches leave first, then the oldest headers', () => {
    const { tree, add } = treeOf(100);
    add(mineChain(GENESIS.header, 20, 'side'));
    const main = mineChain(GENESIS.header, 79, 'main');
    add(main);
    expect(tree.size).toBe(100);
    expect(tree.lowest().height).toBe(0);
    const more = mineChain(main.at(-1) as Uint8Array, 1, 'more');
    add(more);
    expect([tree.size, tree.prunedCount, tree.lowest().height]).toEqual([90, 11, 0]);
    add(mineChain(more[0] as Uint8Array, 200, 'most'));
    expect(tree.size).toBeLessThanOrEqual(100);
    expect(tree.tip().height).toBe(280);
    expect(tree.lowest().height).toBeGreaterThan(180);
    expect(tree.get(GENESIS.hash)).toBeUndefined();
  });

  test('a flood of side branches never pushes out the best chain', () => {
    const { tree, add } = treeOf(100);
    const main = mineChain(GENESIS.header, 60, 'main');
    add(main);
    for (let i = 0; i < 500; i += 1) tree.add(mineChild(main[i % 59] as Uint8Array, `flood${i}`));
    expect(tree.size).toBeLessThanOrEqual(100);
    expect(main.every((header) => tree.get(hashHeader(header)) !== undefined)).toBe(true);
  });
});

const workOf = (header: Uint8Array) => workOfTarget(targetFromCompact(parseHeader(header)?.bits ?? 0) ?? 1n);

test('any order of any headers gives the tip, the forks and the orphans of a naive model', () => {
  const shape = fc.array(fc.record({ parent: fc.nat(), isHard: fc.boolean(), order: fc.nat() }), {
    minLength: 1,
    maxLength: 14,
  });
  fc.assert(
    fc.property(shape, (blocks) => {
      const headers: Uint8Array[] = [GENESIS.header];
      for (const [i, { parent, isHard }] of blocks.entries()) {
        const on = headers[parent % headers.length] as Uint8Array;
        headers.push(mineChild(on, `block${i}`, isHard ? HARD_BITS : EASY_BITS));
      }
      const order = blocks.map(({ order }, i) => ({ order, header: headers[i + 1] as Uint8Array }));
      order.sort((a, b) => a.order - b.order);
      const { tree, events } = treeOf();
      const model = new Map<Hash, { parent: Hash; work: bigint }>([[GENESIS.hash, { parent: '' as Hash, work: 0n }]]);
      let best = GENESIS.hash;
      const path = (hash: Hash): Hash[] => {
        const known = model.get(hash);
        return known === undefined ? [] : [...path(known.parent), hash];
      };
      for (const { header } of order) {
        const parent = parseHeader(header)?.previousHash as Hash;
        const below = model.get(parent);
        const added = tree.add(header);
        expect(added.ok).toBe(below !== undefined);
        if (below === undefined) continue;
        const hash = hashHeader(header);
        model.set(hash, { parent, work: below.work + workOf(header) });
        if ((model.get(hash)?.work ?? 0n) <= (model.get(best)?.work ?? 0n)) continue;
        const [before, after] = [path(best), path(hash)];
        const shared = before.filter((each) => after.includes(each));
        const isReorg = shared.length < before.length;
        if (isReorg) expect(events.at(-2)).toMatchObject({ type: 'reorg', fork: { hash: shared.at(-1) } });
        else expect(events.at(-2)?.type).not.toBe('reorg');
        best = hash;
        expect(events.at(-1)).toMatchObject({ type: 'tip', hash });
      }
      expect(tree.tip().hash).toBe(best);
      expect(tree.tip().height).toBe(path(best).length - 1);
    }),
    { numRuns: 60 },
  );
});
