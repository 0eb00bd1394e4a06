import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type HeardBlock, MinedBlocks } from '../../../src/cli/devnet/blocks.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched(nodes: number) {
  const told: HeardBlock[] = [];
  return { told, blocks: new MinedBlocks({ nodes: () => nodes, tell: (block) => told.push(block) }) };
}

test('a block is told once all other nodes have it, with the time that the slowest took', () => {
  const { told, blocks } = watched(3);
  blocks.mined(1, 7, 'aa');
  blocks.tip(1, 'aa');
  vi.advanceTimersByTime(20);
  blocks.tip(2, 'aa');
  vi.advanceTimersByTime(30);
  expect(told).toEqual([]);
  blocks.tip(3, 'aa');
  expect(told).toEqual([{ event: 'block', node: 1, height: 7, hash: 'aa', of: 2, heardBy: 2, withinMs: 50 }]);
});

test('a tip that is seen before the word of its miner counts', () => {
  const { told, blocks } = watched(2);
  blocks.tip(2, 'aa');
  blocks.mined(1, 7, 'aa');
  expect(told).toMatchObject([{ heardBy: 1, of: 1 }]);
});

test('a block that not all hear of is told after three seconds', () => {
  const { told, blocks } = watched(3);
  blocks.mined(2, 7, 'aa');
  blocks.tip(3, 'aa');
  vi.advanceTimersByTime(2999);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(told).toMatchObject([{ node: 2, heardBy: 1, of: 2 }]);
  blocks.tip(1, 'aa');
  vi.advanceTimersByTime(3000);
  expect(told).toHaveLength(1);
});

test('a single node hears its own blocks', () => {
  const { told, blocks } = watched(1);
  blocks.mined(1, 1, 'aa');
  expect(told).toMatchObject([{ heardBy: 0, of: 0 }]);
});
