import { setFlagsFromString } from 'node:v8';
import { expect, test, vi } from 'vitest';
import { limitHeapGrowth } from '../../src/cli/heap-growth.ts';

vi.mock('node:v8', () => ({ setFlagsFromString: vi.fn() }));

test('the growth of the heap is limited, unless the user has given Node a limit', () => {
  for (const given of ['--heap-growing-percent=20', '--heap_growing_percent=20']) limitHeapGrowth([given]);
  expect(setFlagsFromString).not.toHaveBeenCalled();
  limitHeapGrowth(['--max-semi-space-size=16']);
  expect(setFlagsFromString).toHaveBeenCalledExactlyOnceWith('--heap-growing-percent=100');
});
