import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { HeapGrowth, limitHeapGrowth } from '../../src/cli/heap-growth.ts';
import { REPO } from '../support/repo.ts';

vi.mock('node:v8', () => ({ setFlagsFromString: vi.fn() }));

beforeEach(() => {
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

test('the growth of the heap is limited, unless the user has given Node a limit', () => {
  for (const given of ['--heap-growing-percent=20', '--heap_growing_percent=20']) limitHeapGrowth([given]);
  expect(setFlagsFromString).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
  limitHeapGrowth(['--max-semi-space-size=16']);
  expect(setFlagsFromString).toHaveBeenCalledExactlyOnceWith('--heap-growing-percent=100');
});

describe('the growth of the heap', () => {
  /** What happened in rounds in which the event loop was busy for these shares of the time. */
  function rounds(shares: readonly number[]): readonly unknown[] {
    const happened: unknown[] = [];
    const busy = shares.values();
    const growth = new HeapGrowth({
      busyShare: () => busy.next().value ?? Number.NaN,
      setPercent: (percent) => happened.push(percent),
      collect: () => happened.push('collect'),
    });
    for (const _ of shares) growth.check();
    return happened;
  }

  test('is that of a busy process until the second calm round in a row', () => {
    expect(rounds([0.1, 0.9, 0.1, 0.3, 0.1])).toEqual([100]);
    expect(rounds([0.9, 0.1, 0.1])).toEqual([100, 20, 'collect']);
  });

  test('stays small, and nothing more is collected, until the process is busy again', () => {
    expect(rounds([0.1, 0.1, 0.1, 0.4, 0.1, 0.1])).toEqual([100, 20, 'collect']);
    expect(rounds([0.1, 0.1, 0.6, 0.4])).toEqual([100, 20, 'collect', 100]);
    expect(rounds([0.1, 0.1, 0.6, 0.1, 0.1])).toEqual([100, 20, 'collect', 100, 20, 'collect']);
  });
});

test('a process that has become calm collects the garbage of its start', () => {
  const script = `
    import { limitHeapGrowth } from ${JSON.stringify(join(REPO, 'src/cli/heap-growth.ts'))};
    limitHeapGrowth([], 20);
    const garbage = new WeakRef({});
    const waiting = setInterval(() => {
      if (garbage.deref() === undefined) clearInterval(waiting);
    }, 20);`;
  execFileSync(process.execPath, ['--input-type=module', '--eval', script], { timeout: 60_000 });
});
