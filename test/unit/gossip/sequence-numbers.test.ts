// The rules of issue 4: each author's highest number is kept; a lower one passes only while the highest is fresh; the
// unknown pass.
import { expect, test } from 'vitest';
import { SequenceNumbers } from '../../../src/gossip/limits/sequence-numbers.ts';
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

/** A step: after so many ms, this number of the author is a replay or not. */
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

test('passes all messages of one minute, whatever the order in which they arrive', () => {
  const clock = new FakeClock();
  const isReplay = replays(clock);
  for (let i = 0; i < 600; i += 1) {
    expect(isReplay(one, START + BigInt((i * 7919) % 600))).toBe(false);
    clock.advance(99);
  }
});

test('remembers a bounded number of authors; an evicted author is unknown again', () => {
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

/** How the author's messages come: through others, or on its own connection that began so many ms after the story. */
type Way = 'relayed' | { readonly since: number | undefined };
type Told = readonly [atMs: number, seqno: bigint, way: Way, isHeard: boolean];
const AHEAD = START + 3_600_000_000_000n;

test.each<[string, Told[]]>([
  [
    'on a new connection is heard at once, and then through others too',
    [
      [1000, AHEAD, { since: 0 }, true],
      [121_000, START, 'relayed', false],
      [121_000, START + 1n, { since: 120_000 }, true],
      [121_000, START + 2n, 'relayed', true],
      [241_000, START + 3n, 'relayed', true],
    ],
  ],
  [
    'on the connection that it had is not, once the highest is a minute old',
    [
      [1000, AHEAD, { since: 0 }, true],
      [60_999, START, { since: 0 }, true],
      [61_000, START + 1n, { since: 0 }, false],
      [61_000, AHEAD - 1n, { since: 0 }, false],
    ],
  ],
  [
    'on a connection of which the beginning is not known is not',
    [
      [1000, AHEAD, { since: undefined }, true],
      [61_000, START, { since: undefined }, false],
    ],
  ],
  [
    'on a connection that began with the highest is not: the highest came on it',
    [
      [1000, AHEAD, { since: 1000 }, true],
      [61_000, START, { since: 1000 }, false],
    ],
  ],
  [
    'is heard on a connection that began within the minute too, when the minute is over',
    [
      [1000, AHEAD, { since: 0 }, true],
      [3000, START, { since: 2000 }, true],
      [122_000, START + 1n, { since: 2000 }, true],
      [242_000, START + 2n, { since: 2000 }, true],
    ],
  ],
  [
    'stays heard when others play again what it said before',
    [
      [1000, AHEAD - 1n, { since: 0 }, true],
      [1000, AHEAD, { since: 0 }, true],
      [121_000, START, { since: 120_000 }, true],
      [122_000, AHEAD, 'relayed', true],
      [242_000, START + 1n, { since: 120_000 }, true],
      [302_000, START, { since: 120_000 }, false],
      [302_000, AHEAD + 1n, 'relayed', true],
      [302_000, AHEAD, 'relayed', true],
      [362_000, AHEAD, 'relayed', false],
    ],
  ],
])('a number of a neighbour that is lower: %s', (_what, told) => {
  const clock = new FakeClock();
  const numbers = new SequenceNumbers(clock);
  const startMs = clock.monotonic();
  const heard = told.map(([atMs, seqno, way]) => {
    clock.advance(startMs + atMs - clock.monotonic());
    const connectedSinceMs = way === 'relayed' || way.since === undefined ? undefined : startMs + way.since;
    numbers.isLate(one, seqno, way === 'relayed' ? undefined : () => connectedSinceMs);
    return !numbers.isReplay(one, seqno);
  });
  expect(heard).toEqual(told.map(([, , , isHeard]) => isHeard));
});

test('treats replays from before a restart as late, but not messages that the author itself sends', () => {
  const clock = new FakeClock();
  const numbers = new SequenceNumbers(clock);
  numbers.isLate(one, AHEAD);
  clock.advance(60_000);
  const connectedMs = clock.monotonic();
  const firstHand = () => connectedMs;
  expect(numbers.isLate(one, START, firstHand)).toBe(false);
  expect(numbers.isLate(one, AHEAD)).toBe(true);
  expect(numbers.isLate(one, START + 1n, firstHand)).toBe(false);
  expect(numbers.isLate(one, AHEAD + 1n)).toBe(false);
});
