// When a sync peer is given up by the rules of today.md.
import { expect, test } from 'vitest';
import { endByWork, type WorkObservation } from '../../../src/sync/end-by-work.ts';

const MINUTE = 60_000;
const RULES = { noProgressMs: 5 * MINUTE, minReputation: 20 };
const GOOD: WorkObservation = {
  standing: 'ahead',
  hasFallenShort: false,
  isEvaluation: true,
  isForced: false,
  reputation: 50,
  stillMs: 0,
  hasBetter: false,
};

test.each<[string, Partial<WorkObservation>, ReturnType<typeof endByWork>]>([
  ['is kept while it is ahead', {}, undefined],
  ['is done when it is not ahead any more', { standing: 'level' }, 'level'],
  ['is given up when it is banned', { standing: 'banned' }, 'banned'],
  ['is given up when it has no DataHub any more', { standing: 'no_datahub' }, 'unusable'],
  ['is given up when a catch-up from it ended too early', { hasFallenShort: true }, 'short'],
  ['is given up at once when it is level, without an evaluation', { standing: 'level', isEvaluation: false }, 'level'],
  ['is given up below a reputation of 20', { reputation: 19 }, 'low_reputation'],
  ['is kept at a reputation of 20', { reputation: 20 }, undefined],
  ['is kept below a reputation of 20 until it is evaluated', { reputation: 19, isEvaluation: false }, undefined],
  ['is given up after five minutes without a validated block', { stillMs: 5 * MINUTE }, 'stalled'],
  ['is kept just before that', { stillMs: 5 * MINUTE - 1 }, undefined],
  ['is kept after five minutes until it is evaluated', { stillMs: 5 * MINUTE, isEvaluation: false }, undefined],
  ['is swapped for one with more work after half of that', { stillMs: 2.5 * MINUTE, hasBetter: true }, 'better_peer'],
  ['is not swapped before that', { stillMs: 2.5 * MINUTE - 1, hasBetter: true }, undefined],
  ['is kept after half of that when nobody has more work', { stillMs: 2.5 * MINUTE }, undefined],
  [
    'is not swapped when it is forced',
    { isForced: true, stillMs: 4 * MINUTE, hasBetter: true, reputation: 0 },
    undefined,
  ],
  ['is asked anew when it is forced and stalls', { isForced: true, stillMs: 5 * MINUTE }, 'stalled'],
])('a sync peer %s', (_what, changes, expected) => {
  expect(endByWork({ ...GOOD, ...changes }, RULES)).toBe(expected);
});
