// How announcements spread: copies behind the first delivery, ages by the header, and the list of the latest.
import { describe, expect, test } from 'vitest';
import type { Hash, PeerId } from '../../../src/domain/ids.ts';
import { DelayWindow } from '../../../src/lib/delay-window.ts';
import { Propagation } from '../../../src/peers/propagation.ts';
import { MAX_COPIES, MAX_SPREAD_ROWS } from '../../../src/ports/propagation.ts';
import { FakeClock, RecordedMetrics } from '../../fakes/recorders.ts';

const [AUTHOR, NEAR, FAR] = ['author', 'near', 'far'] as [PeerId, PeerId, PeerId];
const hashOf = (n: number) => n.toString(16).padStart(64, '0') as Hash;

function setUp() {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const propagation = new Propagation({ clock, metrics });
  const announce = (
    n: number,
    changes: { height?: number; headerTime?: number } = {},
    kind: 'block' | 'subtree' = 'block',
  ) => {
    propagation.announced({
      type: `attribute_${kind}`,
      hash: hashOf(n),
      author: AUTHOR,
      receivedFrom: NEAR,
      ...changes,
    });
    propagation.identified(n, -n);
  };
  return { clock, metrics, propagation, announce };
}

describe('how announcements spread', () => {
  test('lists the first delivery with the neighbours that delivered later, and how much later', () => {
    const { clock, propagation, announce } = setUp();
    const atMs = clock.now();
    announce(1, { height: 7, headerTime: Math.floor(atMs / 1000) - 3 });
    announce(2, {}, 'subtree');
    propagation.repeated(FAR, 25, 1, -1);
    propagation.repeated(AUTHOR, 900, 1, -1);
    propagation.repeated(FAR, 4, 2, -2);
    // A copy of a message that is not listed any more, or whose hash has only one half in common.
    propagation.repeated(FAR, 4, 1, -2);
    const { recent, copies } = propagation.view();
    expect(recent).toEqual([
      {
        ...{ kind: 'block', hash: hashOf(1), height: 7, author: AUTHOR, deliveredBy: NEAR, atMs },
        ...{ headerAgeMs: atMs - (Math.floor(atMs / 1000) - 3) * 1000, copyCount: 2 },
        copies: [
          { peerId: FAR, delayMs: 25 },
          { peerId: AUTHOR, delayMs: 900 },
        ],
      },
      {
        ...{ kind: 'subtree', hash: hashOf(2), height: undefined, author: AUTHOR, deliveredBy: NEAR, atMs },
        ...{ headerAgeMs: undefined, copyCount: 1, copies: [{ peerId: FAR, delayMs: 4 }] },
      },
    ]);
    expect(copies).toBe(4);
  });

  test('keeps the latest of each kind, and a bounded number of copies', () => {
    const { propagation, announce, metrics } = setUp();
    for (let n = 1; n <= 3; n += 1) announce(n);
    for (let n = 100; n < 1100; n += 1) announce(n, {}, 'subtree');
    for (let i = 0; i < 50; i += 1) propagation.repeated(FAR, i, 3, -3);
    propagation.repeated(FAR, 1, 100, -100);
    const { recent } = propagation.view();
    expect(recent.map(({ hash }) => hash)).toEqual([
      ...[3, 2, 1].map(hashOf),
      ...Array.from({ length: MAX_SPREAD_ROWS }, (_each, i) => hashOf(1099 - i)),
    ]);
    expect(recent[0]?.copies).toHaveLength(MAX_COPIES);
    expect(recent[0]?.copyCount).toBe(50);
    expect(recent.slice(1).every(({ copyCount }) => copyCount === 0)).toBe(true);
    expect(metrics.gaugeValue('teranode_p2p_spread_entries')).toBe(3 + MAX_SPREAD_ROWS);
    expect(metrics.gaugeValue('teranode_p2p_spread_entries_bound')).toBe(2 * MAX_SPREAD_ROWS);
  });

  test('a slot that is used again has no copies of the message before', () => {
    const { propagation, announce } = setUp();
    announce(1);
    propagation.repeated(FAR, 5, 1, -1);
    for (let n = 2; n <= MAX_SPREAD_ROWS + 1; n += 1) announce(n);
    propagation.repeated(FAR, 6, 1, -1);
    expect(propagation.view().recent.map(({ copyCount }) => copyCount)).toEqual(Array(MAX_SPREAD_ROWS).fill(0));
  });

  test('ages of blocks are counted, those of a clock ahead as 0, and blocks of a catch-up are not', () => {
    const { clock, metrics, announce, propagation } = setUp();
    const now = Math.floor(clock.now() / 1000);
    announce(1, { headerTime: now - 60 });
    announce(2, { headerTime: now + 600 });
    announce(3, { headerTime: now - 3 * 3600 });
    announce(4);
    const ages = metrics.observed('teranode_p2p_block_header_age_seconds');
    expect(ages.map((each) => Math.floor(each))).toEqual([60, 0]);
    expect(propagation.view().recent[2]?.headerAgeMs).toBeLessThan(-590_000);
  });
});

describe('the percentiles of the last minute', () => {
  test('are within a fifth of the true ones', () => {
    const window = new DelayWindow({ windowMs: 60_000, maxMs: 10_000 });
    for (let ms = 1; ms <= 1000; ms += 1) window.add(ms, 0);
    const { count, percentile } = window.read(0);
    expect(count).toBe(1000);
    for (const share of [0.1, 0.5, 0.9, 0.99]) {
      expect(percentile(share)).toBeGreaterThan(share * 1000 * 0.8);
      expect(percentile(share)).toBeLessThan(share * 1000 * 1.2);
    }
  });

  test('are exact for a single small delay, and unknown without any', () => {
    const window = new DelayWindow({ windowMs: 60_000, maxMs: 10_000 });
    expect(window.read(0).percentile(0.5)).toBeUndefined();
    window.add(0, 0);
    expect(window.read(0).percentile(0.99)).toBe(0);
    window.add(1e9, 0);
    window.add(-5, 0);
    expect(window.read(0).percentile(1)).toBe(10_000);
    expect(window.read(0).count).toBe(3);
  });

  test('forget delays after a minute, also after a long pause', () => {
    const window = new DelayWindow({ windowMs: 60_000, maxMs: 10_000 });
    window.add(5, 1000);
    window.add(900, 31_000);
    expect(window.read(59_000).count).toBe(2);
    expect(window.read(61_000).count).toBe(1);
    expect(window.read(10_000_000).count).toBe(0);
    window.add(7, 10_000_000);
    expect(window.read(10_000_000).count).toBe(1);
  });
});
