// Failed attempts to sync: the cool-down of each peer, and when an attempt is forgotten.
import { describe, expect, test } from 'vitest';
import {
  CATCH_UP_COOL_DOWN,
  FailedAttempts,
  MAX_PEERS,
  NO_PROGRESS_COOL_DOWN_MS,
} from '../../../src/sync/failed-attempts.ts';
import { MINUTE } from './harness.ts';

const DAY_MS = 24 * 3_600_000;
const { firstMs, lastMs } = CATCH_UP_COOL_DOWN;

describe('failed catch-ups of a peer', () => {
  test('add up, and are forgotten after a day without another', () => {
    const attempts = new FailedAttempts();
    expect(attempts.of('p', 0)).toEqual({ failed: 0, coolDownUntilMs: 0 });
    attempts.catchUpFailed('p', 0);
    attempts.catchUpFailed('p', 1000);
    expect(attempts.of('p', 1000 + DAY_MS).failed).toBe(2);
    expect(attempts.of('p', 1001 + DAY_MS).failed).toBe(0);
    attempts.catchUpFailed('p', 1001 + DAY_MS);
    expect(attempts.of('p', 1001 + DAY_MS).failed).toBe(1);
  });

  test.each([
    [1, firstMs],
    [2, 2 * firstMs],
    [3, 4 * firstMs],
    [40, lastMs],
  ])('cause after %d of them a cool-down of %d ms', (count, coolDownMs) => {
    const attempts = new FailedAttempts();
    for (let i = 0; i < count; i += 1) attempts.catchUpFailed('p', 0);
    expect(attempts.of('p', 0)).toEqual({ failed: count, coolDownUntilMs: coolDownMs });
    expect([attempts.isAtFault('p', coolDownMs - 1), attempts.isAtFault('p', coolDownMs)]).toEqual([true, false]);
  });
});

describe('attempts without progress', () => {
  test('cause the same cool-down each time, and are not the fault of the peer', () => {
    const attempts = new FailedAttempts();
    for (let i = 1; i <= 20; i += 1) {
      attempts.madeNoProgress('p', i * MINUTE);
      expect(attempts.of('p', i * MINUTE)).toEqual({
        failed: i,
        coolDownUntilMs: i * MINUTE + NO_PROGRESS_COOL_DOWN_MS,
      });
    }
    expect(attempts.isAtFault('p', 20 * MINUTE)).toBe(false);
  });

  test('of several peers in a row cause no cool-down until our chain grows', () => {
    const attempts = new FailedAttempts();
    attempts.madeNoProgress('a', 0);
    attempts.madeNoProgress('b', MINUTE);
    attempts.madeNoProgress('a', 2 * MINUTE);
    expect([attempts.of('a', 2 * MINUTE), attempts.of('b', 2 * MINUTE)]).toEqual([
      { failed: 2, coolDownUntilMs: 0 },
      { failed: 1, coolDownUntilMs: 0 },
    ]);
    attempts.chainGrew();
    attempts.madeNoProgress('b', 3 * MINUTE);
    expect(attempts.of('b', 3 * MINUTE).coolDownUntilMs).toBe(3 * MINUTE + NO_PROGRESS_COOL_DOWN_MS);
  });

  test('do not end the cool-down after a failed catch-up', () => {
    const attempts = new FailedAttempts();
    attempts.catchUpFailed('a', 0);
    attempts.madeNoProgress('b', 0);
    attempts.madeNoProgress('a', 0);
    expect(attempts.of('a', 0)).toEqual({ failed: 2, coolDownUntilMs: firstMs });
  });

  test('of all peers are forgotten when one of those peers delivers; failed catch-ups are not', () => {
    const attempts = new FailedAttempts();
    for (const each of ['a', 'b']) attempts.madeNoProgress(each, 0);
    attempts.catchUpFailed('b', 0);
    attempts.delivered('c');
    expect([attempts.of('a', 0).failed, attempts.of('b', 0).failed]).toEqual([1, 2]);
    attempts.delivered('a');
    expect([attempts.of('a', 0).failed, attempts.of('b', 0).failed]).toEqual([0, 1]);
  });

  test('count without a cool-down when they end early', () => {
    const attempts = new FailedAttempts();
    attempts.endedEarly('p', MINUTE);
    expect(attempts.of('p', MINUTE)).toEqual({ failed: 1, coolDownUntilMs: 0 });
  });
});

test('the peer whose last failed attempt is oldest is forgotten when the list is full, separately for each kind', () => {
  const attempts = new FailedAttempts();
  attempts.catchUpFailed('failed', 0);
  for (let i = 0; i < MAX_PEERS; i += 1) attempts.madeNoProgress(`p${i}`, i);
  attempts.endedEarly('p0', MAX_PEERS);
  attempts.endedEarly('one more', MAX_PEERS);
  expect([attempts.catchUpPeers, attempts.noProgressPeers]).toEqual([1, MAX_PEERS]);
  const counts = ['failed', 'p0', 'p1'].map((each) => attempts.of(each, MAX_PEERS).failed);
  expect(counts).toEqual([1, 2, 0]);
});
