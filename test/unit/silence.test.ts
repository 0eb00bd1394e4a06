import { expect, test } from 'vitest';
import { SilenceWatch } from '../../src/watch/silence.ts';
import { FakeClock } from '../fakes/recorders.ts';

function makeWatch() {
  const clock = new FakeClock();
  const watch = new SilenceWatch(
    { clock },
    new Map([
      ['block', 1000],
      ['subtree', 100],
    ] as const),
  );
  watch.check(true);
  return { clock, watch, startMs: clock.now() };
}

test('a feed is silent once its bound has passed, and that is told once', () => {
  const { clock, watch, startMs } = makeWatch();
  clock.advance(99);
  expect(watch.check(true)).toEqual([]);
  clock.advance(1);
  expect(watch.check(true)).toEqual([{ feed: 'subtree', sinceMs: startMs }]);
  clock.advance(500);
  expect(watch.check(true)).toEqual([]);
});

test('a message ends the silence, and the next one is told again', () => {
  const { clock, watch } = makeWatch();
  clock.advance(100);
  watch.check(true);
  watch.heard('subtree');
  const heardMs = clock.now();
  clock.advance(100);
  expect(watch.check(true)).toEqual([{ feed: 'subtree', sinceMs: heardMs }]);
});

test('nothing is silent while no peer is connected, and feeds have their whole bound again when one is', () => {
  const { clock, watch } = makeWatch();
  clock.advance(5000);
  expect(watch.check(false)).toEqual([]);
  expect(watch.check(true)).toEqual([]);
  clock.advance(100);
  expect(watch.check(true).map(({ feed }) => feed)).toEqual(['subtree']);
});
