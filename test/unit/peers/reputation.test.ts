// The arithmetic of reputation, number by number.
import { describe, expect, test } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { PeerHistory } from '../../../src/domain/peer-history.ts';
import { firstCharacters, newHistory } from '../../../src/peers/histories/after-event.ts';
import {
  averageAfter,
  clampedReputation,
  deservesAnotherChance,
  type ReputationFacts,
  reputationOf,
  speedFactor,
} from '../../../src/peers/histories/reputation.ts';

const NOW = 1_700_000_000_000;
const HOUR_MS = 3_600_000;
const LONG_AGO = NOW - 2 * HOUR_MS;
const NOTHING: ReputationFacts = {
  successes: 0,
  failures: 0,
  malicious: 0,
  lastSuccessMs: undefined,
  lastFailureMs: undefined,
  avgResponseMs: 0,
};

describe('reputation', () => {
  test.each<[string, Partial<ReputationFacts>, number]>([
    ['of a peer without outcomes', {}, 50],
    ['of a malicious peer', { malicious: 1, successes: 1000, lastSuccessMs: NOW, avgResponseMs: 10 }, 5],
    ['with successes only, long ago', { successes: 3, lastSuccessMs: LONG_AGO }, 80],
    ['with successes only, the last just now', { successes: 3, lastSuccessMs: NOW }, 90],
    ['with a success an hour ago to the millisecond', { successes: 1, lastSuccessMs: NOW - HOUR_MS }, 80],
    ['with a success a millisecond less than an hour ago', { successes: 1, lastSuccessMs: NOW - HOUR_MS + 1 }, 90],
    ['with failures only, long ago', { failures: 7, lastFailureMs: LONG_AGO }, 20],
    ['with failures only, the last just now', { failures: 7, lastFailureMs: NOW }, 5],
    ['with a quarter of successes, long ago', { successes: 1, failures: 3 }, 35],
    [
      'with a recent success and a recent failure',
      { successes: 1, failures: 1, lastSuccessMs: NOW, lastFailureMs: NOW },
      45,
    ],
    ['of a fast peer is not above 100', { successes: 1, lastSuccessMs: NOW, avgResponseMs: 199 }, 100],
    ['of a peer that answers within half a second', { successes: 1, avgResponseMs: 499 }, 88],
    ['of a slow peer', { successes: 1, avgResponseMs: 30_000 }, 48],
  ])('%s', (_case, facts, expected) => {
    expect(reputationOf({ ...NOTHING, ...facts }, NOW)).toBeCloseTo(expected, 9);
  });

  test.each([
    [0, 1],
    [1, 1.2],
    [199, 1.2],
    [200, 1.1],
    [499, 1.1],
    [500, 1],
    [1999, 1],
    [2000, 0.9],
    [4999, 0.9],
    [5000, 0.8],
    [9999, 0.8],
    [10_000, 0.7],
    [29_999, 0.7],
    [30_000, 0.6],
    [1e12, 0.6],
  ])('an average response of %i ms has the factor %d', (avgResponseMs, factor) => {
    expect(speedFactor(avgResponseMs)).toBe(factor);
  });

  test.each<[number, number | undefined, number]>([
    [0, 250, 250],
    [0, undefined, 0],
    [1000, undefined, 1000],
    [1000, 0, 1000],
    [1000, -5, 1000],
    [1000, 2000, 1200],
    [3, 4, 3],
  ])('an average of %i ms with a response of %s ms becomes %i ms', (average, responseMs, expected) => {
    expect(averageAfter(average, responseMs)).toBe(expected);
  });

  test.each([
    [-1, 0],
    [101, 100],
    [Number.POSITIVE_INFINITY, 100],
    [Number.NEGATIVE_INFINITY, 0],
    [Number.NaN, 50],
    [42.5, 42.5],
  ])('%d is clamped to %d', (given, expected) => {
    expect(clampedReputation(given)).toBe(expected);
  });
});

describe('another chance', () => {
  const bad: PeerHistory = {
    ...newHistory('peer' as PeerId),
    reputation: 5,
    failures: 1,
    lastFailureMs: NOW - HOUR_MS,
  };

  test.each<[string, Partial<PeerHistory>, boolean]>([
    ['a bad peer after the cool-down', {}, true],
    ['a bad peer within the cool-down', { lastFailureMs: NOW - HOUR_MS + 1 }, false],
    ['a reputation just below 20', { reputation: 19.99 }, true],
    ['a reputation of 20', { reputation: 20 }, false],
    ['a bad peer that never failed', { lastFailureMs: undefined }, false],
    ['three cool-downs after the first chance', { resets: 1, lastResetMs: NOW - 3 * HOUR_MS }, true],
    ['less than three cool-downs after the first chance', { resets: 1, lastResetMs: NOW - 3 * HOUR_MS + 1 }, false],
    ['nine cool-downs after the second chance', { resets: 2, lastResetMs: NOW - 9 * HOUR_MS }, true],
    ['less than nine cool-downs after the second chance', { resets: 2, lastResetMs: NOW - 9 * HOUR_MS + 1 }, false],
    ['a peer with thousands of chances', { resets: 5000, lastResetMs: 0 }, false],
  ])('%s', (_case, facts, expected) => {
    expect(deservesAnotherChance({ ...bad, ...facts }, HOUR_MS, NOW)).toBe(expected);
  });
});

test.each([
  ['short', 'short'],
  ['x'.repeat(600), 'x'.repeat(512)],
  ['😀'.repeat(600), '😀'.repeat(512)],
  [`${'x'.repeat(511)}😀😀`, `${'x'.repeat(511)}😀`],
  ['broken \ud83d half', 'broken \ufffd half'],
])('texts are cut to 512 whole characters (case %#)', (given, expected) => {
  expect(firstCharacters(given, 512)).toBe(expected);
});
