// The parts of the soak that compute: plan, slopes, accounts, bounds.
import { expect, test } from 'vitest';
import { soakChart } from '../../../bench/soak/chart.ts';
import { Ledger } from '../../../bench/soak/ledger.ts';
import { FAULTS, type FaultKind, planFaults } from '../../../bench/soak/plan.ts';
import { judge, type Sample } from '../../../bench/soak/samples.ts';
import { breaches, grown, parseScrape, queued, waiting } from '../../../bench/soak/scrape.ts';
import { slopeOf, windowValues } from '../../../bench/soak/slope.ts';

const KINDS = Object.keys(FAULTS) as FaultKind[];
const HOUR_MS = 3_600_000;

test('a seed plans the same faults again, another seed others', () => {
  const plan = (seed: string) => planFaults({ seed, fromMs: 60_000, untilMs: HOUR_MS, kinds: KINDS });
  expect(plan('a')).toEqual(plan('a'));
  expect(plan('b')).not.toEqual(plan('a'));
});

test.each([60_000, HOUR_MS])(
  'faults of %i ms are of every kind, in time, and never two of one target at once',
  (untilMs) => {
    const plan = planFaults({ seed: 'x', fromMs: 5000, untilMs, kinds: KINDS });
    expect(new Set(plan.map(({ kind }) => kind))).toEqual(new Set(KINDS));
    const over = new Map<string, number>();
    for (const { kind, atMs, forMs } of plan) {
      expect(atMs).toBeGreaterThanOrEqual(over.get(FAULTS[kind]) ?? 5000);
      expect(atMs + forMs).toBeLessThanOrEqual(untilMs + 1);
      over.set(FAULTS[kind], atMs + forMs);
    }
  },
);

/** Repeatable noise between -1 and 1. */
const noise = (i: number) => Math.sin(i * 12.9898 + Math.sin(i * 78.233) * 43);

test('the slope of a straight line is exact, and noise widens the error and hides no steady growth', () => {
  const at = (i: number) => i * 60_000;
  const line = slopeOf(Array.from({ length: 61 }, (_each, i) => ({ atMs: at(i), value: 10 + (3 * i) / 60 })));
  expect(line).toMatchObject({
    perHour: expect.closeTo(3),
    errorPerHour: expect.closeTo(0),
    start: expect.closeTo(10),
  });
  const noisy = (perHour: number) =>
    slopeOf(Array.from({ length: 61 }, (_each, i) => ({ atMs: at(i), value: (perHour * i) / 60 + 5 * noise(i) })));
  expect(noisy(0).errorPerHour).toBeGreaterThan(0.5);
  expect(noisy(0).leastGrowth).toBeLessThan(0);
  expect(noisy(60).leastGrowth).toBeGreaterThan(40);
  expect(() => slopeOf([{ atMs: 0, value: 1 }])).toThrow('a slope needs 5 points, got 1');
});

test('values that follow each other have a wider error than the same values in disorder', () => {
  const values = Array.from({ length: 40 }, (_each, i) => 10 * Math.sin(i / 4));
  const ordered = slopeOf(values.map((value, i) => ({ atMs: i * 60_000, value })));
  const mixed = slopeOf(values.map((_each, i) => ({ atMs: i * 60_000, value: values[(i * 17) % 40] ?? 0 })));
  expect(ordered.errorPerHour).toBeGreaterThan(2 * mixed.errorPerHour);
});

test('a window counts with its least or its middle value', () => {
  const points = [5, 3, 9, 8, 2, 7].map((value, i) => ({ atMs: i * 1000, value }));
  expect(windowValues(points, 2, 'least')).toEqual([points[1], points[4]]);
  expect(windowValues(points, 2, 'middle')).toEqual([points[0], points[5]]);
  expect(windowValues([], 3, 'least')).toEqual([]);
});

function sample(i: number, changes: Partial<Sample>): Sample {
  const still = { rssMiB: 200, heapMiB: 80, buffersMiB: 5, openFiles: 50, activeResources: 70, delayMs: 20, queued: 0 };
  return { atMs: i * 10_000, ...still, connectedPeers: 6, published: i, accepted: i, ...changes };
}

const figuresThatLeak = (samples: readonly Sample[]) =>
  judge(samples, 0).flatMap(({ measure, isLeak }) => (isLeak ? [measure.figure] : []));

test('steady growth beyond what is allowed is a leak; peaks, noise and growth of the warm-up are none', () => {
  const still = (i: number) => ({ heapMiB: 80 + 3 * Math.abs(noise(i)), openFiles: i % 7 === 0 ? 300 * (i % 2) : 50 });
  const numbers = Array.from({ length: 360 }, (_each, i) => i);
  expect(figuresThatLeak(numbers.map((i) => sample(i, still(i))))).toEqual([]);
  expect(figuresThatLeak(numbers.map((i) => sample(i, { ...still(i), heapMiB: 80 + i / 10 })))).toEqual(['heapMiB']);
  const warm = numbers.map((i) => sample(i, { heapMiB: Math.min(80, i) }));
  expect(judge(warm, 900_000).map(({ slope }) => slope.growth)).toEqual(Array.from({ length: 7 }, () => 0));
});

test('the accounts tell what was lost, doubled and never heard, and what explains it', () => {
  const ledger = new Ledger();
  const nowMs = 1_000_000;
  const publish = (hash: string, atMs = nowMs) => ledger.publish(hash, { kind: 'subtree', publisher: 'p', atMs });
  for (const hash of ['kept', 'lost', 'doubled', 'unsent']) publish(hash);
  publish('cut', 5000);
  publish('late double', 5000);
  for (const hash of ['kept', 'lost', 'doubled']) expect(ledger.accept(hash, nowMs)).toBe(true);
  ledger.accept('late double', 5000);
  expect(ledger.accept('of the warm-up', nowMs)).toBe(false);
  for (const hash of ['kept', 'doubled', 'doubled', 'late double', 'late double', 'of the warm-up'])
    ledger.inKafka(hash);
  ledger.onWebSocket('kept');
  const outages = new Map([['p', [{ fromMs: 4000, toMs: 6000 }]]]);
  expect(ledger.balance(outages, [{ fromMs: nowMs - 1000, toMs: nowMs }])).toEqual({
    published: 6,
    accepted: 4,
    lost: ['lost'],
    lostCount: 1,
    untold: 0,
    missingOnWebSocket: 3,
    doublesAllowed: 1,
    doublesUnexplained: 1,
    unheard: 2,
    unheardUnexplained: 1,
    otherRecords: 1,
  });
});

test('a scrape tells what is above its bound, and what waits', () => {
  const scrape = parseScrape(
    [
      '# HELP teranode_p2p_things_bound Upper bound of teranode_p2p_things_kept',
      'teranode_p2p_things_bound{kind="a"} 5',
      'teranode_p2p_things_bound{kind="b"} 5',
      'teranode_p2p_things_kept{kind="a"} 6',
      'teranode_p2p_things_kept{kind="b"} 5',
      'teranode_p2p_kafka_queue_length{topic="blocks"} 3',
      'teranode_p2p_kafka_queue_length{topic="subtrees"} 0',
      'teranode_p2p_gossip_unsent_bytes 700',
    ].join('\n'),
  );
  expect(breaches(scrape)).toEqual(['teranode_p2p_things_kept{kind="a"} is 6, its bound 5']);
  expect(waiting(scrape)).toEqual([
    'teranode_p2p_kafka_queue_length{topic="blocks"} 3',
    'teranode_p2p_gossip_unsent_bytes 700',
  ]);
  expect(queued(scrape)).toBe(3);
});

test('gauges of ours that grew come with the largest growth first; counters, bounds and times do not', () => {
  const scrape = (values: readonly number[]) => {
    const names = ['teranode_p2p_a', 'teranode_p2p_b', 'teranode_p2p_b_bound', 'teranode_p2p_up_seconds', 'nodejs_c'];
    const lines = names.flatMap((name, i) => [`# TYPE ${name} gauge`, `${name} ${values[i]}`]);
    return parseScrape([...lines, '# TYPE teranode_p2p_total counter', `teranode_p2p_total ${values[0]}`].join('\n'));
  };
  expect(grown(scrape([1, 1, 1, 1, 1]), scrape([3, 9, 9, 9, 9]))).toEqual([
    { gauge: 'teranode_p2p_b', from: 1, to: 9 },
    { gauge: 'teranode_p2p_a', from: 1, to: 3 },
  ]);
});

test('the chart marks faults and what grows, and escapes what it writes', () => {
  const samples = Array.from({ length: 100 }, (_each, i) => sample(i, { heapMiB: 80 + i }));
  const fault = { kind: 'clock stepped', fromMs: 300_000, toMs: 310_000, detail: '<-2 s>' } as const;
  const times = { startMs: 0, warmMs: 100_000, endMs: 1_000_000 };
  const svg = soakChart({ title: 'a & b', samples, judged: judge(samples, 100_000), faults: [fault], ...times });
  expect(svg).toContain('a &amp; b');
  expect(svg).toContain('<title>clock stepped &lt;-2 s&gt;</title>');
  expect(svg.match(/: grows;/g)).toHaveLength(1);
  expect(svg.match(/class="fault"/g)).toHaveLength(7);
});
