// Token buckets on a clock that is moved by hand.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PeerRates, UNLIMITED } from '../../../src/gossip/limits/rates.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock } from '../../fakes/recorders.ts';

const [one, two] = [peer(1), peer(2)];

function setUp(perSecond: number, burst: number) {
  const clock = new FakeClock();
  const buckets = new PeerRates(clock, { perSecond, burst });
  /** How often each answer came in so many takes at once. */
  const take = (times: number, id = one) => {
    const counts = { ok: 0, over: 0, over_scored: 0, flood: 0 };
    for (let i = 0; i < times; i += 1) counts[buckets.take(id) as keyof typeof counts] += 1;
    return counts;
  };
  return { clock, take };
}

test('passes a burst, stops messages above it, and scores the excess once', () => {
  const { take } = setUp(10, 20);
  expect(take(20)).toEqual({ ok: 20, over: 0, over_scored: 0, flood: 0 });
  expect(take(5)).toEqual({ ok: 0, over: 4, over_scored: 1, flood: 0 });
});

test('refills tokens over time, up to the burst', () => {
  const { take, clock } = setUp(10, 20);
  take(20);
  clock.advance(99);
  expect(take(1).ok).toBe(0);
  clock.advance(1);
  expect(take(2).ok).toBe(1);
  clock.advance(1000);
  expect(take(20).ok).toBe(10);
  clock.advance(3_600_000);
  expect(take(100).ok).toBe(20);
});

test('scores a peer that stays above its rate at once and then every five seconds', () => {
  const { take, clock } = setUp(10, 20);
  const scoredAt: number[] = [];
  for (let ms = 0; ms < 16_000; ms += 10) {
    if (take(1).over_scored > 0) scoredAt.push(ms);
    clock.advance(10);
  }
  expect(scoredAt.length).toBe(4);
  for (const [i, ms] of scoredAt.entries()) if (i > 0) expect(ms - (scoredAt[i - 1] ?? 0)).toBe(5000);
});

test('never scores a peer that stays below its rate or pauses after a burst', () => {
  const { take, clock } = setUp(10, 20);
  for (let i = 0; i < 1000; i += 1) {
    expect(take(1).ok).toBe(1);
    clock.advance(100);
  }
  take(25);
  clock.advance(4999);
  expect(take(60)).toMatchObject({ ok: 20, over_scored: 0 });
});

test('calls it a flood once in five seconds, when the rate of five seconds was refused', () => {
  const { take, clock } = setUp(10, 20);
  take(20);
  expect(take(49)).toMatchObject({ over_scored: 1, flood: 0 });
  expect(take(1000)).toMatchObject({ over: 999, over_scored: 0, flood: 1 });
  clock.advance(5000);
  // A quarter more than the rate, for as long as you like.
  for (let ms = 0; ms < 60_000; ms += 80) {
    expect(take(1).flood).toBe(0);
    clock.advance(80);
  }
});

test('keeps one bucket per peer', () => {
  const { take } = setUp(10, 20);
  take(1000, one);
  expect(take(20, two)).toEqual({ ok: 20, over: 0, over_scored: 0, flood: 0 });
});

test('applies no limit at a rate of 0', () => {
  const { take } = setUp(0, 0);
  expect(take(100_000)).toEqual({ ok: 100_000, over: 0, over_scored: 0, flood: 0 });
});

test('passes exactly what burst and rate allow in any period of time', () => {
  const steps = fc.array(fc.record({ ms: fc.nat(3000), times: fc.nat(30) }), { maxLength: 40 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 60 }), steps, (perSecond, burst, taken) => {
      const { take, clock } = setUp(perSecond, burst);
      let tokens = burst * 1000;
      for (const { ms, times } of taken) {
        clock.advance(ms);
        // In thousandths, so that the model has no fractions.
        tokens = Math.min(burst * 1000, tokens + ms * perSecond);
        const { ok } = take(times);
        const expected = Math.min(times, Math.floor(tokens / 1000));
        // Fractions of a token are lost to rounding, never won.
        expect(ok).toBeLessThanOrEqual(expected);
        expect(ok).toBeGreaterThanOrEqual(expected - 1);
        tokens -= ok * 1000;
      }
    }),
    { numRuns: 300 },
  );
});

test('remembers a bounded number of peers; an evicted peer starts with a full bucket', () => {
  const { take } = setUp(10, 20);
  take(20, one);
  for (let n = 10; n < 20_011; n += 1) take(1, `peer ${n}` as typeof one);
  expect(take(20, one).ok).toBe(20);
  expect(take(20, `peer ${20_010}` as typeof one).ok).toBe(19);
});

test('counts bytes beside messages: an author that is below one rate may be above the other', () => {
  const clock = new FakeClock();
  const rates = new PeerRates(clock, { perSecond: 100, burst: 100 }, { perSecond: 1000, burst: 5000 });
  expect([1, 2, 3].map(() => rates.take(one, 2000))).toEqual(['ok', 'ok', 'ok']);
  expect([1, 2].map(() => rates.take(one, 1))).toEqual(['bytes_scored', 'bytes']);
  expect(rates.take(two, 2000)).toBe('ok');
  clock.advance(1001);
  expect([1, 2].map(() => rates.take(one, 1))).toEqual(['ok', 'bytes']);
  clock.advance(5000);
  expect(rates.take(one, 50_000)).toBe('ok');
  expect(rates.take(one, 1)).toBe('bytes_scored');
});

test('a message whose bytes are not counted passes whatever is owed', () => {
  const rates = new PeerRates(new FakeClock(), UNLIMITED, { perSecond: 10, burst: 10 });
  rates.take(one, 1000);
  expect([rates.take(one, 0), rates.take(one, 1)]).toEqual(['ok', 'bytes_scored']);
});

test('a message above the whole burst passes when nothing is owed', () => {
  const rates = new PeerRates(new FakeClock(), UNLIMITED, { perSecond: 10, burst: 10 });
  expect(rates.take(one, 1_000_000)).toBe('ok');
  expect(rates.take(one, 1)).toBe('bytes_scored');
});

test('stops an author whose messages took half of the time for seconds, without a score, until time has passed', () => {
  const clock = new FakeClock();
  const rates = new PeerRates(clock, UNLIMITED);
  let passed = 0;
  while (rates.take(one) === 'ok') {
    passed += 1;
    rates.charge(one, 100);
    clock.advance(100);
  }
  // 5,000 ms at once, and half of the time that passed meanwhile.
  expect(passed).toBe(100);
  expect(rates.take(one)).toBe('time');
  expect(rates.take(two)).toBe('ok');
  clock.advance(1000);
  expect(rates.take(one)).toBe('ok');
});

test('takes a pause of the machine for no more than a slow message', () => {
  const clock = new FakeClock();
  const rates = new PeerRates(clock, UNLIMITED);
  rates.charge(one, 600_000);
  expect(rates.take(one)).toBe('ok');
});
