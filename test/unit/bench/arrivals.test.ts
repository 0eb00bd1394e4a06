// What a consumer of the benchmark counts.
import { expect, test } from 'vitest';
import { Arrivals } from '../../../bench/arrivals.ts';

function announcement(number: number, agoMs: number): Buffer {
  const sentNs = BigInt(Math.round((performance.timeOrigin + performance.now() - agoMs) * 1000)) * 1000n;
  return Buffer.from(`\n\x04hash\x12http://127.0.0.1:8090/api/v1/n=${number}/t=${sentNs}\x1a\x04peer`, 'latin1');
}

test('counts what came twice as received twice and as one announcement', () => {
  const arrivals = new Arrivals();
  for (const number of [0, 7, 8, 7]) arrivals.add(announcement(number, 0));
  expect(arrivals.received).toBe(4);
  expect(arrivals.summary().unique).toBe(3);
});

test('tells the quantiles of the delays since the last time that it was told to forget', () => {
  const arrivals = new Arrivals();
  arrivals.add(announcement(0, 3_600_000));
  arrivals.forget();
  // A clock that goes back gives no negative delay.
  arrivals.add(announcement(1, -3_600_000));
  for (let i = 2; i < 1000; i += 1) arrivals.add(announcement(i, 1_000_000));
  arrivals.add(announcement(1000, 2_000_000));
  const { unique, p50Ms, p99Ms, p999Ms } = arrivals.summary();
  expect(unique).toBe(1001);
  expect(p50Ms).toBeGreaterThanOrEqual(1_000_000);
  expect(p99Ms).toBeLessThan(2_000_000);
  expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  expect(p999Ms).toBeGreaterThanOrEqual(2_000_000);
});

test('refuses a message without a number and a time, and a number beyond its room', () => {
  const arrivals = new Arrivals();
  expect(() => arrivals.add(Buffer.from('http://127.0.0.1/t=1'))).toThrow('no number and time in http://127.0.0.1/t=1');
  expect(() => arrivals.add(announcement(8_388_608, 0))).toThrow('expected at most');
  expect(() => arrivals.add(announcement(8_388_607, 0))).not.toThrow();
});
