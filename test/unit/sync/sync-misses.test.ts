// What is remembered of choices that came to nothing: who rests for how long, and what is forgotten.
import { describe, expect, test } from 'vitest';
import {
  FIRST_REST_MS,
  LONGEST_REST_MS,
  MAX_MISSED_PEERS,
  STALL_REST_MS,
  SyncMisses,
} from '../../../src/sync/sync-misses.ts';
import { MINUTE } from './harness.ts';

const DAY_MS = 24 * 3_600_000;

describe('failed catch-ups', () => {
  test('add up, and a day without one begins anew', () => {
    const misses = new SyncMisses();
    expect(misses.of('p', 0)).toEqual({ count: 0, restsUntilMs: 0 });
    misses.failed('p', 0);
    misses.failed('p', 1000);
    expect(misses.of('p', 1000 + DAY_MS).count).toBe(2);
    expect(misses.of('p', 1001 + DAY_MS).count).toBe(0);
    misses.failed('p', 1001 + DAY_MS);
    expect(misses.of('p', 1001 + DAY_MS).count).toBe(1);
  });

  test.each([
    [1, FIRST_REST_MS],
    [2, 2 * FIRST_REST_MS],
    [3, 4 * FIRST_REST_MS],
    [40, LONGEST_REST_MS],
  ])('after %d of them a peer rests %d ms', (count, restMs) => {
    const misses = new SyncMisses();
    for (let i = 0; i < count; i += 1) misses.failed('p', 0);
    expect(misses.of('p', 0)).toEqual({ count, restsUntilMs: restMs });
    expect([misses.isAtFault('p', restMs - 1), misses.isAtFault('p', restMs)]).toEqual([true, false]);
  });
});

describe('stalls', () => {
  test('let a peer rest, no longer with each, and are no fault', () => {
    const misses = new SyncMisses();
    for (let i = 1; i <= 20; i += 1) {
      misses.stalled('p', i * MINUTE);
      expect(misses.of('p', i * MINUTE)).toEqual({ count: i, restsUntilMs: i * MINUTE + STALL_REST_MS });
    }
    expect(misses.isAtFault('p', 20 * MINUTE)).toBe(false);
  });

  test('of several peers in a row let none of them rest, until our chain grows', () => {
    const misses = new SyncMisses();
    misses.stalled('a', 0);
    misses.stalled('b', MINUTE);
    misses.stalled('a', 2 * MINUTE);
    expect([misses.of('a', 2 * MINUTE), misses.of('b', 2 * MINUTE)]).toEqual([
      { count: 2, restsUntilMs: 0 },
      { count: 1, restsUntilMs: 0 },
    ]);
    misses.grew();
    misses.stalled('b', 3 * MINUTE);
    expect(misses.of('b', 3 * MINUTE).restsUntilMs).toBe(3 * MINUTE + STALL_REST_MS);
  });

  test('do not end the rest of a catch-up that failed', () => {
    const misses = new SyncMisses();
    misses.failed('a', 0);
    misses.stalled('b', 0);
    misses.stalled('a', 0);
    expect(misses.of('a', 0)).toEqual({ count: 2, restsUntilMs: FIRST_REST_MS });
  });

  test('of all are forgotten when a peer that stalled delivers, and only then; failures are not', () => {
    const misses = new SyncMisses();
    for (const each of ['a', 'b']) misses.stalled(each, 0);
    misses.failed('b', 0);
    misses.delivered('c');
    expect([misses.of('a', 0).count, misses.of('b', 0).count]).toEqual([1, 2]);
    misses.delivered('a');
    expect([misses.of('a', 0).count, misses.of('b', 0).count]).toEqual([0, 1]);
  });

  test('a fruitless choice counts, and nobody rests for it', () => {
    const misses = new SyncMisses();
    misses.fruitless('p', MINUTE);
    expect(misses.of('p', MINUTE)).toEqual({ count: 1, restsUntilMs: 0 });
  });
});

test('when full, who missed longest ago is forgotten; stalls push no failure out', () => {
  const misses = new SyncMisses();
  misses.failed('failed', 0);
  for (let i = 0; i < MAX_MISSED_PEERS; i += 1) misses.stalled(`p${i}`, i);
  misses.fruitless('p0', MAX_MISSED_PEERS);
  misses.fruitless('one more', MAX_MISSED_PEERS);
  expect([misses.failedPeers, misses.stalledPeers]).toEqual([1, MAX_MISSED_PEERS]);
  const counts = ['failed', 'p0', 'p1'].map((each) => misses.of(each, MAX_MISSED_PEERS).count);
  expect(counts).toEqual([1, 2, 0]);
});
