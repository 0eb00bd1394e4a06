// The chart says what the figures say.
import { expect, test } from 'vitest';
import { chart } from '../../../bench/chart.ts';
import type { Row } from '../../../bench/measure.ts';
import type { Results } from '../../../bench/results.ts';

function row(changes: Partial<Row>): Row {
  return {
    wire: 'go-p2p',
    receiver: 'go',
    verifier: 'go',
    ratePerSecond: 1000,
    publisher: 'light',
    published: 1000,
    publishedPerSecond: 1000,
    publisherCpuMicrosPerMessage: 50,
    received: 1000,
    unique: 1000,
    lost: 0,
    droppedByPublisher: 0,
    cpuMicrosPerMessage: 100,
    p50Ms: 1,
    p99Ms: 10,
    p999Ms: 20,
    memoryMiB: 40,
    ...changes,
  };
}

function results(gossip: Row[], changes: Partial<Results> = {}): Results {
  const machine = {
    cpu: 'Fast & Small <2>',
    cores: 2,
    memoryGiB: 8,
    kernel: 'Linux 6.1',
    node: 'v24.0.0',
    go: 'go1.26.0',
    date: '2026-11-30T12:00:00.000Z',
    commit: '0123456789ab',
  };
  const nothingElse = { messages: [], starts: [], rest: [], bans: [] };
  return { benchmark: 'teranode-p2p', machine, isQuick: false, seconds: 10, gossip, ...nothingElse, ...changes };
}

const ROWS = [1000, 3000].flatMap((ratePerSecond) => [
  row({ ratePerSecond }),
  row({ ratePerSecond, receiver: 'ours, memory', verifier: 'native', cpuMicrosPerMessage: 150 }),
  row({ ratePerSecond, receiver: 'ours, memory', verifier: 'libsodium', cpuMicrosPerMessage: 200 }),
  row({ ratePerSecond, receiver: 'ours, kafka', verifier: 'native', p99Ms: 1000 }),
  row({ ratePerSecond, receiver: 'ours, kafka', verifier: 'libsodium', p99Ms: 2000 }),
]);

/** Heights of the points of a series, by their titles. */
function heights(svg: string, name: string): number[] {
  const points = [...svg.matchAll(/cy="([\d.]+)" r="[\d.]+"><title>([^<]*) at /g)];
  return points.filter(([, , title]) => title === name).map(([, y]) => Number(y));
}

test('each verifier is a line of its own; Kafka is drawn with the first of them', () => {
  const svg = chart(results(ROWS));
  expect(svg.match(/<circle /g)).toHaveLength(2 * 2 * 4);
  for (const name of ['bare Go receiver', 'this server, in memory (native)', 'this server, in memory (libsodium)'])
    expect(heights(svg, name)).toHaveLength(4);
  expect(heights(svg, 'this server, Kafka (native)')).toHaveLength(4);
  expect(svg).not.toContain('Kafka (libsodium)');
});

test('more is higher, and ten times as much is the same distance on the scale of delays', () => {
  const svg = chart(results(ROWS));
  const [go = 0, goAgain, goDelay = 0] = heights(svg, 'bare Go receiver');
  const [native = 0] = heights(svg, 'this server, in memory (native)');
  const [libsodium = 0] = heights(svg, 'this server, in memory (libsodium)');
  const [, , kafkaDelay = 0] = heights(svg, 'this server, Kafka (native)');
  expect(goAgain).toBe(go);
  // 100, 150 and 200 µs on an axis from 0.
  expect(go - native).toBeCloseTo(native - libsodium, 1);
  expect(native).toBeLessThan(go);
  // 10 ms and 1000 ms on an axis of 10, 100 and 1000 ms, 2000 among what is measured.
  expect(goDelay).toBe(200);
  expect(kafkaDelay).toBeCloseTo(200 - (200 * 2) / 3, 1);
});

test('each wire has its panels', () => {
  const both = [...ROWS, row({ wire: 'message-bus' })];
  expect(chart(results(ROWS)).match(/<g /g)).toHaveLength(2);
  const svg = chart(results(both));
  expect(svg.match(/<g /g)).toHaveLength(4);
  expect(svg).toContain('message-bus: CPU per message, µs');
});

test('names the machine, escaped, and a quick run as such', () => {
  const svg = chart(results(ROWS));
  expect(svg).toContain('2 cores of Fast &amp; Small &lt;2&gt;, Linux 6.1, Node.js v24.0.0, go1.26.0');
  expect(svg).toContain('commit 0123456789ab, 2026-11-30<');
  expect(chart(results(ROWS, { isQuick: true }))).toContain('2026-11-30: quick run');
});

test('has colours for light and dark, and no script', () => {
  const svg = chart(results(ROWS));
  expect(svg).toContain('@media (prefers-color-scheme:dark)');
  expect(svg).not.toContain('<script');
});
