// The benchmarks as they are run, in a short form: at 3,000 announcements a second nothing is lost, and every figure is
// there (and, being a time or a size, told and not judged).
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Row } from '../../bench/measure.ts';
import type { Results } from '../../bench/results.ts';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

async function output(script: string, ...args: string[]): Promise<string> {
  const running = promisify(execFile)('npm', ['run', '-s', script, '--', ...args], { cwd: REPO, encoding: 'utf8' });
  endWithTests(running.child);
  return (await running).stdout;
}

function judge(row: Row, seconds: number): void {
  const { receiver, ratePerSecond, published, publishedPerSecond, unique, lost, droppedByPublisher } = row;
  expect(published).toBe(ratePerSecond * seconds);
  expect(publishedPerSecond).toBeGreaterThan(0);
  expect(row.publisherCpuMicrosPerMessage).toBeGreaterThan(0);
  expect(lost).toBe(published - unique);
  const { cpuMicrosPerMessage, ratioToGo, p50Ms, p99Ms, p999Ms, memoryMiB } = row;
  expect(cpuMicrosPerMessage).toBeGreaterThan(0);
  expect(ratioToGo).toBeGreaterThan(0);
  expect(memoryMiB).toBeGreaterThan(0);
  // All were measured, in the same clock: a delay is neither negative nor without a spread.
  expect(p50Ms, receiver).toBeGreaterThan(0);
  expect(p99Ms, receiver).toBeGreaterThanOrEqual(p50Ms);
  expect(p999Ms, receiver).toBeGreaterThanOrEqual(p99Ms);
  const times = `${cpuMicrosPerMessage} µs a message, ${ratioToGo} times Go's`;
  process.stdout.write(`${receiver} at ${ratePerSecond}: ${times}; delay ${p50Ms} ms, p99 ${p99Ms} ms\n`);
  if (receiver === 'go') return;
  // What the publisher's own queue dropped never left it; some of it comes all the same, asked for later.
  expect(lost, receiver).toBeGreaterThanOrEqual(0);
  expect(lost, receiver).toBeLessThanOrEqual(droppedByPublisher);
}

describe('the whole benchmark in its short form', () => {
  let printed: Results;
  let kept: string;
  let drawn: string;

  beforeAll(async () => {
    const folder = temporaryFolder('bench-results');
    const [out, chart] = [join(folder, 'results.json'), join(folder, 'chart.svg')];
    const gossip = 'go;ours, memory;ours, kafka;ours, websocket';
    const what = ['--wire', 'go-p2p', '--rates', '3000', '--verifier', 'libsodium'];
    const only = ['--only', `${gossip};start;rest;messages`];
    printed = JSON.parse(await output('bench', '--quick', ...what, ...only, '--out', out, '--chart', chart));
    [kept, drawn] = [readFileSync(out, 'utf8'), readFileSync(chart, 'utf8')];
  }, 300_000);

  test('keeps what it prints, with the machine and the commit that it was measured on', () => {
    expect(JSON.parse(kept)).toEqual(printed);
    expect(printed.isQuick).toBe(true);
    expect(printed.machine).toMatchObject({ node: process.version, go: expect.stringMatching(/^go1\./) });
    expect(printed.machine.commit).toMatch(/^[0-9a-f]{12}(-dirty)?$/);
  });

  test('loses none of 3,000 subtree announcements per second, in memory, with Kafka and by WebSocket, beside a Go receiver', () => {
    expect(printed.gossip.map(({ receiver, verifier }) => [receiver, verifier])).toEqual([
      ['go', 'go'],
      ['ours, memory', 'libsodium'],
      ['ours, kafka', 'libsodium'],
      ['ours, websocket', 'libsodium'],
    ]);
    for (const row of printed.gossip) judge(row, printed.seconds);
  });

  test('counts the messages after which it tells the memory, of a Go receiver and of a plain server', () => {
    const [go, ours] = printed.messages;
    expect([go?.receiver, ours?.receiver]).toEqual(['go', 'ours']);
    for (const each of printed.messages) {
      expect(each.messages).toBe(20_000);
      expect(each.memoryMiB).toHaveLength(10);
      expect(Math.min(each.memoryBeforeMiB, ...each.memoryMiB)).toBeGreaterThan(0);
    }
    expect(ours?.received).toBeGreaterThanOrEqual(20_000 - (ours?.droppedByPublisher ?? 0));
  });

  test('tells how long a start takes, and what rest costs alone and with connected idle peers', () => {
    const checkout = printed.starts.filter(({ program }) => program === 'checkout');
    expect(checkout.map(({ compileCache }) => compileCache)).toEqual(['none', 'warm']);
    for (const { medianMs, toHealthMs } of printed.starts) expect(toHealthMs).toContain(medianMs);
    expect(printed.rest.map(({ idlePeers }) => idlePeers)).toEqual([0, 40]);
    for (const { memoryMiB } of printed.rest) expect(memoryMiB).toBeGreaterThan(0);
  });

  test('draws a chart of its rows', () => {
    expect(drawn).toContain('this server, Kafka (libsodium)');
    expect(drawn.match(/<circle /g)).toHaveLength(2 * printed.gossip.length);
  });
});

test('loses none of 6,000 subtree announcements per second on message-bus, beside a bare Go client', async () => {
  const args = ['--wire', 'message-bus', '--rates', '6000', '--seconds', '3', '--only', 'go;ours, memory'];
  const { results } = JSON.parse(await output('bench:gossip', ...args)) as { results: Row[] };
  expect(results.map(({ wire, receiver }) => [wire, receiver])).toEqual([
    ['message-bus', 'go'],
    ['message-bus', 'ours, memory'],
  ]);
  for (const row of results) judge(row, 3);
}, 180_000);

interface BanResult {
  readonly entries: number;
  readonly ours: { readonly lookups: number; readonly lookupsPerCpuSecond: number; readonly memoryMiB: number };
  readonly nodeBlockList: { readonly lookups: number; readonly lookupsPerCpuSecond: number };
}

test('ban lookups with 110,000 entries are at least half as fast as with 10, measured beside Node’s own list', async () => {
  const { results } = JSON.parse(await output('bench:bans')) as { results: BanResult[] };
  expect(results.map(({ entries }) => entries)).toEqual([10, 110_000]);
  for (const { ours, nodeBlockList } of results)
    for (const each of [ours, nodeBlockList]) {
      expect(each.lookups).toBeGreaterThan(0);
      expect(each.lookupsPerCpuSecond).toBeGreaterThan(0);
    }
  const [few, many] = results.map(({ ours }) => ours);
  expect(many?.lookupsPerCpuSecond).toBeGreaterThan((few?.lookupsPerCpuSecond ?? Number.POSITIVE_INFINITY) / 2);
  expect(many?.memoryMiB).toBeGreaterThan(few?.memoryMiB ?? 0);
  process.stdout.write(
    `${few?.lookupsPerCpuSecond} lookups a CPU second with 10, ${many?.lookupsPerCpuSecond} with 110,000\n`,
  );
}, 180_000);
