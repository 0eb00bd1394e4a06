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
  /** What happened in rounds with these shares of a core, and shares of the time in which the event loop was busy. */
  function rounds(...loads: readonly (readonly [cpuShare: number, loopShare: number])[]): readonly unknown[] {
    const happened: unknown[] = [];
    const next = loads.values();
    const growth = new HeapGrowth({
      load: () => {
        const [cpuShare, loopShare] = next.next().value ?? [Number.NaN, Number.NaN];
        return { cpuShare, loopShare };
      },
      setPercent: (percent) => happened.push(percent),
      collect: () => happened.push('collect'),
    });
    for (const _ of loads) growth.check();
    return happened;
  }
  const calm = [0.1, 0.1] as const;
  const between = [0.25, 0.3] as const;
  const busy = [0.5, 0.5] as const;
  /** On a machine that gives it little CPU. */
  const [slowed, starved] = [[0.1, 0.7] as const, [0.1, 0.9] as const];

  test('is that of a busy process until the second calm round in a row', () => {
    expect(rounds(calm, busy, calm, between, calm, starved, calm)).toEqual([100]);
    expect(rounds(busy, calm, calm)).toEqual([100, 20, 'collect']);
    expect(rounds(busy, slowed, slowed)).toEqual([100, 20, 'collect']);
  });

  test('stays small, and nothing more is collected, until the process is busy again', () => {
    expect(rounds(calm, calm, between, calm, calm)).toEqual([100, 20, 'collect']);
    for (const again of [busy, starved])
      expect(rounds(calm, calm, again, again, calm, between, calm, calm)).toEqual([
        ...[100, 20, 'collect'],
        ...[100, 20, 'collect'],
      ]);
  });

  test('has six rounds between two collections', () => {
    const first = [100, 20, 'collect', 100];
    expect(rounds(calm, calm, busy, calm, calm, calm, calm)).toEqual(first);
    expect(rounds(calm, calm, busy, calm, calm, calm, calm, calm)).toEqual([...first, 20, 'collect']);
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
