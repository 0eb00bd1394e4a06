// The tools of src/lib: deadlines, back-off, token buckets, single flight, bounded maps.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { backoffMs } from '../../../src/lib/backoff.ts';
import { BoundedMap } from '../../../src/lib/bounded-map.ts';
import { orAfter, settledWithin, withDeadline } from '../../../src/lib/deadline.ts';
import { singleFlight } from '../../../src/lib/single-flight.ts';
import { TokenBucket, TokenBuckets } from '../../../src/lib/token-bucket.ts';

const never = () => new Promise<never>(() => {});

describe('deadline', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('passes on a result and a failure that come in time, and leaves no timer behind', async () => {
    await expect(withDeadline(Promise.resolve(7), 50)).resolves.toBe(7);
    await expect(withDeadline(Promise.reject(new Error('broken')), 50)).rejects.toThrow('broken');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('throws TIMEOUT that names what was awaited and for how long', async () => {
    const waiting = expect(withDeadline(never(), 50, 'no verack')).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: 'no verack within 50 ms',
    });
    await vi.advanceTimersByTimeAsync(50);
    await waiting;
  });

  test('resolves with the fallback when the work is late', async () => {
    const waiting = expect(orAfter(never(), 50, 'nothing')).resolves.toBe('nothing');
    await vi.advanceTimersByTimeAsync(50);
    await waiting;
    await expect(orAfter(Promise.resolve('in time'), 50, 'nothing')).resolves.toBe('in time');
  });

  test('waits for all works, failed ones included, and says whether they were in time', async () => {
    await expect(settledWithin([Promise.reject(new Error('broken')), Promise.resolve()], 50)).resolves.toBe(true);
    const waiting = expect(settledWithin([Promise.resolve(), never()], 50)).resolves.toBe(false);
    await vi.advanceTimersByTimeAsync(50);
    await waiting;
  });
});

describe('back-off', () => {
  test('doubles with each failure up to the longest time', () => {
    const waits = [0, 1, 2, 3, 4, 5, 100, 5000].map((failures) => backoffMs({ firstMs: 500, lastMs: 5000 }, failures));
    expect(waits).toEqual([0, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
  });
});

describe('token bucket', () => {
  test('gives a burst at once, then its rate', () => {
    const bucket = new TokenBucket({ perSecond: 2, burst: 3 }, 0);
    expect([0, 0, 0, 0, 400, 500, 600].map((nowMs) => bucket.take(nowMs))).toEqual([
      true,
      true,
      true,
      false,
      false,
      true,
      false,
    ]);
  });

  test('takes nothing when the cost is more than there is', () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 10 }, 0);
    expect([bucket.take(0, 11), bucket.take(0, 10), bucket.take(0, 1)]).toEqual([false, true, false]);
  });

  test('is not refilled by a time that goes back', () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 1 }, 10_000);
    expect([bucket.take(10_000), bucket.take(9000), bucket.take(9500)]).toEqual([true, false, false]);
  });

  test('a charge beyond what there is becomes a debt that is refilled first', () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, 0);
    bucket.charge(8);
    expect([0, 200, 300, 400, 5000].map((nowMs) => bucket.available(nowMs))).toEqual([-3, -1, 0, 1, 5]);
    expect(bucket.take(5000, 5)).toBe(true);
  });

  test('a rate of 0 limits nobody', () => {
    const buckets = new TokenBuckets<string>({ perSecond: 0, burst: 0 }, 2);
    expect([buckets.take('a', 0), buckets.take('a', 0), buckets.size]).toEqual([true, true, 0]);
  });

  test('keeps keys apart and forgets the one used longest ago', () => {
    const buckets = new TokenBuckets<string>({ perSecond: 1, burst: 1 }, 2);
    expect([buckets.take('a', 0), buckets.take('b', 0), buckets.take('a', 0)]).toEqual([true, true, false]);
    expect(buckets.take('c', 0)).toBe(true);
    expect([buckets.size, buckets.take('a', 0), buckets.take('b', 0)]).toEqual([2, false, true]);
  });
});

describe('single flight', () => {
  test('runs once for all who ask meanwhile, again afterwards, and shares failures', async () => {
    const runs: PromiseWithResolvers<number>[] = [];
    const ask = singleFlight(() => {
      const run = Promise.withResolvers<number>();
      runs.push(run);
      return run.promise;
    });
    const both = Promise.all([ask(), ask()]);
    expect(runs.length).toBe(1);
    runs[0]?.resolve(5);
    await expect(both).resolves.toEqual([5, 5]);
    const failing = Promise.allSettled([ask(), ask()]);
    runs[1]?.reject(new Error('broken'));
    expect((await failing).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(runs.length).toBe(2);
  });
});

describe('bounded map', () => {
  test('drops the entry set longest ago, reads do not renew it, and deletions are no evictions', () => {
    const evicted: string[] = [];
    const map = new BoundedMap<string, number>({ max: 2, onEvict: (key, value) => evicted.push(`${key}${value}`) });
    map.set('a', 1);
    map.set('b', 2);
    map.set('a', 3);
    map.get('b');
    map.set('c', 4);
    expect([evicted, map.size, map.has('b'), map.get('a')]).toEqual([['b2'], 2, false, 3]);
    expect([...map.oldestFirst()]).toEqual([
      ['a', 3],
      ['c', 4],
    ]);
    map.delete('a');
    map.clear();
    expect([evicted, map.size]).toEqual([['b2'], 0]);
  });
});
