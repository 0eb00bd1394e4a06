// The rules of issue 4: each author's highest number is kept; a lower one passes only while the highest is fresh; the unknown pass.
import { expect, test } from 'vitest';
import { SequenceNumbers } from '../../../src/gossip/sequence-numbers.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock } from '../../fakes/recorders.ts';

const [one, two] = [peer(1), peer(2)];
const START = 1_758_000_000_000_000_000n;

/** Asked as the guards do. */
function replays(clock: FakeClock) {
  const numbers = new SequenceNumbers(clock);
  return (author: typeof one, seqno: bigint) => {
    numbers.isLate(author, seqno);
    return numbers.isReplay(author, seqno);
  };
}

/** A step: after so many ms, this author's number is a replay or is none. */
type Step = readonly [advanceMs: number, seqno: bigint, isReplay: boolean, author?: typeof one];

test.each<[string, Step[]]>([
  [
    'an unknown author passes, whatever the number',
    [
      [0, 0n, false],
      [0, START, false, two],
    ],
  ],
  [
    'growing numbers pass at any pace',
    [
      [0, START, false],
      [0, START + 1n, false],
      [3_600_000, START + 2n, false],
      [0, START + 900n, false],
    ],
  ],
  [
    'a lower one passes while the highest is fresh',
    [
      [0, START + 5n, false],
      [59_999, START + 4n, false],
      [0, START, false],
      [0, 0n, false],
    ],
  ],
  [
    'and not a minute later',
    [
      [0, START + 5n, false],
      [60_000, START + 4n, true],
      [0, 0n, true],
      [3_600_000, START + 4n, true],
    ],
  ],
  [
    'the same one is treated as a lower one',
    [
      [0, START, false],
      [59_999, START, false],
      [1, START, true],
    ],
  ],
  [
    'a lower one that passes keeps nothing fresh',
    [
      [0, START + 5n, false],
      [30_000, START + 1n, false],
      [30_000, START + 2n, true],
    ],
  ],
  [
    'one that is refused changes nothing: the next higher passes',
    [
      [0, START + 5n, false],
      [60_000, START, true],
      [0, START + 6n, false],
      [0, START, false],
    ],
  ],
  [
    'a higher one keeps lower ones passing for another minute',
    [
      [0, START, false],
      [50_000, START + 1n, false],
      [50_000, START, false],
      [10_000, START, true],
    ],
  ],
  [
    'after a restart of its author numbers are higher, and old ones stay replays',
    [
      [0, START, false],
      [90_000, START * 2n, false],
      [60_000, START + 1n, true],
      [0, START * 2n + 1n, false],
    ],
  ],
  [
    'authors do not touch one another',
    [
      [0, START + 5n, false, one],
      [60_000, START, false, two],
      [0, START + 4n, true, one],
      [0, START - 1n, false, two],
    ],
  ],
  [
    '64 bits are told apart to the last',
    [
      [0, 2n ** 64n - 1n, false],
      [60_000, 2n ** 64n - 2n, true],
      [0, 2n ** 64n - 1n, true],
    ],
  ],
  [
    'wrapped numbers are lower ones',
    [
      [0, 2n ** 64n - 1n, false],
      [60_000, 0n, true],
    ],
  ],
])('%s', (_what, steps) => {
  const clock = new FakeClock();
  const isReplay = replays(clock);
  const judged = steps.map(([advanceMs, seqno, , author = one]) => {
    clock.advance(advanceMs);
    return isReplay(author, seqno);
  });
  expect(judged).toEqual(steps.map(([, , expected]) => expected));
});

test('messages of one minute, in whatever order they arrive, all pass', () => {
  const clock = new FakeClock();
  const isReplay = replays(clock);
  for (let i = 0; i < 600; i += 1) {
    expect(isReplay(one, START + BigInt((i * 7919) % 600))).toBe(false);
    clock.advance(99);
  }
});

test('very many authors are bounded: who was forgotten is unknown again', () => {
  const clock = new FakeClock();
  const isReplay = replays(clock);
  isReplay(one, START);
  for (let n = 0; n < 20_000; n += 1) isReplay(`peer ${n}` as typeof one, START);
  clock.advance(60_000);
  expect(isReplay('peer 19999' as typeof one, START)).toBe(true);
  expect(isReplay(one, START - 1n)).toBe(false);
});

test.each<[string, Step[]]>([
  [
    'the first one heard is none, and all below it are',
    [
      [0, START + 5n, false],
      [0, START + 4n, true],
      [0, 0n, true],
    ],
  ],
  [
    'growing numbers are none at any pace',
    [
      [0, START, false],
      [600_000, START + 1n, false],
      [0, START + 900n, false],
    ],
  ],
  [
    'one that was overtaken is none, however busy its author',
    [
      [0, START, false],
      [1000, START + 100n, false],
      [100, START + 1n, false],
      [59_000, START + 101n, false],
      [0, START + 2n, false],
    ],
  ],
  [
    'what a busy author passed one to two minutes ago is',
    [
      [0, START, false],
      [30_000, START + 10n, false],
      [30_000, START + 20n, false],
      [30_000, START + 30n, false],
      [30_000, START + 40n, false],
      [0, START + 10n, true],
      [0, START + 30n, false],
    ],
  ],
  [
    'all that a silent author has said is',
    [
      [0, START, false],
      [1000, START + 10n, false],
      [60_000, START + 10n, true],
      [0, START + 9n, true],
    ],
  ],
  [
    'all before a silence is, whatever follows it',
    [
      [0, START, false],
      [1000, START + 10n, false],
      [60_000, START + 12n, false],
      [0, START + 11n, false],
      [0, START + 10n, true],
    ],
  ],
  [
    'the number of a message that is played again keeps nothing fresh',
    [
      [0, START + 5n, false],
      [60_000, START + 5n, true],
      [59_999, START + 5n, true],
    ],
  ],
  [
    'authors do not touch one another',
    [
      [0, START + 5n, false, one],
      [0, START, false, two],
      [0, START, true, one],
    ],
  ],
])('late: %s', (_what, steps) => {
  const clock = new FakeClock();
  const numbers = new SequenceNumbers(clock);
  const judged = steps.map(([advanceMs, seqno, , author = one]) => {
    clock.advance(advanceMs);
    return numbers.isLate(author, seqno);
  });
  expect(judged).toEqual(steps.map(([, , expected]) => expected));
});

test('an author whose clock was set back is heard again when it says so itself, and then through others too', () => {
  const clock = new FakeClock();
  const numbers = new SequenceNumbers(clock);
  const hears = (seqno: bigint, atFirstHand: boolean) =>
    !numbers.isLate(one, seqno, atFirstHand) && !numbers.isReplay(one, seqno);
  const [ahead, restarted] = [START + 3_600_000_000_000n, START];
  expect(hears(ahead, true)).toBe(true);
  clock.advance(120_000);
  expect(hears(restarted, false)).toBe(false);
  expect(hears(restarted + 1n, true)).toBe(true);
  expect(hears(restarted + 2n, false)).toBe(true);
  clock.advance(120_000);
  expect(hears(restarted + 3n, false)).toBe(true);
});
