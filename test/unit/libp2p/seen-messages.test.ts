import { expect, test } from 'vitest';
import { SeenMessages } from '../../../src/adapters/libp2p/gossipsub/seen-messages.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const KEEP_MS = 120_000;

function setUp(maxIds = 1_000_000) {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const seen = new SeenMessages({ clock, metrics }, { keepMs: KEEP_MS, maxIds });
  const pass = (ms: number) => {
    for (let rest = ms; rest > 0; rest -= 1000) {
      clock.advance(Math.min(1000, rest));
      seen.prune();
    }
  };
  return { seen, metrics, pass };
}

test('a message ID is kept for its time and forgotten soon after', () => {
  const { seen, pass } = setUp();
  pass(17_000);
  seen.put('a');
  pass(KEEP_MS);
  expect(seen.has('a')).toBe(true);
  expect(seen.has('b')).toBe(false);
  pass(KEEP_MS / 3);
  expect(seen.has('a')).toBe(false);
});

test('IDs of steady traffic are forgotten in time', () => {
  const { seen, pass } = setUp();
  for (let i = 0; i < 600; i += 1) {
    seen.put(`${i}`);
    pass(1000);
  }
  expect(seen.size).toBeGreaterThanOrEqual(120);
  expect(seen.size).toBeLessThanOrEqual(161);
  expect(seen.has('590')).toBe(true);
});

test('a flood evicts the oldest IDs, counts them, and never exceeds the bound', () => {
  const { seen, metrics } = setUp(1000);
  for (let i = 0; i < 10_000; i += 1) {
    seen.put(`${i}`);
    expect(seen.size).toBeLessThanOrEqual(1000);
  }
  expect(seen.has('9999')).toBe(true);
  expect(seen.has('9300')).toBe(true);
  expect(seen.has('0')).toBe(false);
  expect(metrics.count('teranode_p2p_seen_evicted_total')).toBe(9000);
  seen.clear();
  expect(seen.size).toBe(0);
});
