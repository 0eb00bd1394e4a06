import { expect, test } from 'vitest';
import { CatchUpFailures, MAX_FAILED_PEERS } from '../../../src/sync/catch-up-failures.ts';

const DAY_MS = 24 * 3_600_000;

test('failures add up, and a day without one begins anew', () => {
  const failures = new CatchUpFailures();
  expect(failures.of('p', 0)).toBeUndefined();
  failures.add('p', 0);
  expect(failures.add('p', 1000)).toEqual({ count: 2, lastMs: 1000 });
  expect(failures.of('p', 1000 + DAY_MS)).toEqual({ count: 2, lastMs: 1000 });
  expect(failures.of('p', 1001 + DAY_MS)).toBeUndefined();
  expect(failures.add('p', 1001 + DAY_MS).count).toBe(1);
});

test('when full, who failed longest ago is forgotten', () => {
  const failures = new CatchUpFailures();
  for (let i = 0; i < MAX_FAILED_PEERS; i += 1) failures.add(`p${i}`, i);
  failures.add('p0', MAX_FAILED_PEERS);
  failures.add('one more', MAX_FAILED_PEERS);
  expect(failures.size).toBe(MAX_FAILED_PEERS);
  expect(failures.of('p0', MAX_FAILED_PEERS)?.count).toBe(2);
  expect(failures.of('p1', MAX_FAILED_PEERS)).toBeUndefined();
});
