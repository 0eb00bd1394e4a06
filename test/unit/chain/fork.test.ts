// Where two chains part: the walk back from their tips, and its bounds.
import { describe, expect, test } from 'vitest';
import { findFork, findForkByCalls, type LinkedPoint } from '../../../src/chain/fork.ts';
import type { Hash } from '../../../src/domain/ids.ts';

/** A chain of names; `a3` is the child of `a2`, and the first of a branch that of `on`. */
function branch(name: string, from: number, count: number, on: string): LinkedPoint[] {
  return Array.from({ length: count }, (_each, i) => ({
    hash: `${name}${from + i}` as Hash,
    height: from + i,
    previousHash: (i === 0 ? on : `${name}${from + i - 1}`) as Hash,
  }));
}

const main = branch('m', 0, 11, '');
const ours = branch('a', 11, 3, 'm10');
const theirs = branch('b', 11, 5, 'm10');
const all = new Map([...main, ...ours, ...theirs].map((each) => [each.hash, each]));
const lookUp = (hash: Hash) => all.get(hash);
const point = (hash: string) => all.get(hash as Hash) as LinkedPoint;

describe('findFork', () => {
  test.each([
    ['two branches', 'a13', 'b15', 'm10'],
    ['the same, the other way round', 'b15', 'a13', 'm10'],
    ['a tip and its ancestor', 'b15', 'm4', 'm4'],
    ['a tip and itself', 'a12', 'a12', 'a12'],
  ])('finds the fork of %s', async (_what, first, second, fork) => {
    const tips = [point(first), point(second)] as const;
    const found = { hash: fork, height: point(fork).height };
    expect(findFork(tips, lookUp, 100)).toEqual(found);
    expect(await findForkByCalls(tips, async (hash) => lookUp(hash), 100)).toEqual(found);
  });

  test('looks up as many headers as lie above the fork, and no more than it may', () => {
    const looked: Hash[] = [];
    const counted = (hash: Hash) => {
      looked.push(hash);
      return lookUp(hash);
    };
    expect(findFork([point('a13'), point('b15')], counted, 8)).toMatchObject({ hash: 'm10' });
    expect(looked).toHaveLength(8);
    expect(findFork([point('a13'), point('b15')], counted, 7)).toBeUndefined();
  });

  test('ends at a header that is missing, and at one whose height does not fit', () => {
    expect(findFork([point('a13'), point('b15')], () => undefined, 100)).toBeUndefined();
    const loop = (hash: Hash) => ({ hash, height: 15, previousHash: 'x' as Hash });
    expect(findFork([point('a13'), point('b15')], loop, 1_000_000)).toBeUndefined();
  });
});
