// How many connections an address may open.
import { expect, test } from 'vitest';
import { ARRIVALS_BURST, ArrivalRate } from '../../../src/adapters/libp2p/connections/arrival-rate.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

function setUp() {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const rate = new ArrivalRate({ nowMs: () => clock.monotonic(), metrics });
  const taken = (group: string | undefined, times: number) =>
    Array.from({ length: times }, () => rate.take(group)).filter(Boolean).length;
  return { clock, taken, size: () => metrics.gaugeValue('teranode_p2p_arriving_addresses') };
}

test('an address may open a burst of connections, then a few per second, independent of other addresses', () => {
  const { clock, taken } = setUp();
  expect(taken('a', 1000)).toBe(ARRIVALS_BURST);
  expect(taken('b', 10)).toBe(10);
  clock.advance(1000);
  expect(taken('a', 1000)).toBe(10);
  clock.advance(3_600_000);
  expect(taken('a', 1000)).toBe(ARRIVALS_BURST);
});

test('fractions of a second add up', () => {
  const { clock, taken } = setUp();
  taken('a', ARRIVALS_BURST);
  let came = 0;
  for (let i = 0; i < 1000; i += 1) {
    clock.advance(10);
    came += taken('a', 3);
  }
  expect(Math.abs(came - 100)).toBeLessThanOrEqual(1);
});

test('relayed connections are not limited, and the number of remembered addresses is', () => {
  const { taken, size } = setUp();
  expect(taken(undefined, 1000)).toBe(1000);
  for (let i = 0; i < 20_000; i += 1) taken(`a${i}`, 1);
  expect(size()).toBe(10_000);
});
