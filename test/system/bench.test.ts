// The benchmarks as they are run: at 3,000 announcements a second nothing is lost, and the ratio to Go's CPU is told
// (and, being a time, not judged).
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { endWithTests } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

const NODE = process.execPath;
const SECONDS = 5;

interface Result {
  readonly receiver: string;
  readonly ratePerSecond: number;
  readonly published: number;
  readonly received: number;
  readonly unique: number;
  readonly lost: number;
  readonly droppedByPublisher: number;
  readonly cpuMicrosPerMessage: number;
  readonly ratioToGo: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function measured(...args: string[]): Promise<Result[]> {
  const running = promisify(execFile)(NODE, ['bench/gossip.ts', '--seconds', `${SECONDS}`, ...args], {
    cwd: REPO,
    encoding: 'utf8',
  });
  endWithTests(running.child);
  return (JSON.parse((await running).stdout) as { results: Result[] }).results;
}

function judge(result: Result): void {
  const { receiver, ratePerSecond, published, unique, lost, droppedByPublisher, ratioToGo } = result;
  expect(published).toBe(ratePerSecond * SECONDS);
  expect(lost).toBe(published - unique);
  expect(ratioToGo).toBeGreaterThan(0);
  const { cpuMicrosPerMessage, p50Ms, p99Ms } = result;
  // Both were measured, in the same clock: a delay is neither negative nor without a spread.
  expect(p50Ms, receiver).toBeGreaterThan(0);
  expect(p99Ms, receiver).toBeGreaterThanOrEqual(p50Ms);
  const times = `${cpuMicrosPerMessage} µs a message, ${ratioToGo} times Go's`;
  process.stdout.write(`${receiver} at ${ratePerSecond}: ${times}; delay ${p50Ms} ms, p99 ${p99Ms} ms\n`);
  if (receiver === 'go') return;
  // What the publisher's own queue dropped never left it; some of it comes all the same, asked for later.
  expect(lost, receiver).toBeGreaterThanOrEqual(0);
  expect(lost, receiver).toBeLessThanOrEqual(droppedByPublisher);
}

test('loses none of 3,000 subtree announcements per second, in memory, with Kafka and by WebSocket, beside a Go receiver', async () => {
  const results = await measured('--rates', '3000');
  expect(results.map(({ receiver }) => receiver)).toEqual(['go', 'ours, memory', 'ours, kafka', 'ours, websocket']);
  for (const result of results) judge(result);
}, 300_000);

test('loses none of 1,000, 3,000 and 6,000 subtree announcements per second on message-bus, beside a bare Go client', async () => {
  const results = await measured('--wire', 'message-bus', '--only', 'go;ours, memory');
  expect(results.map(({ receiver, ratePerSecond }) => [receiver, ratePerSecond])).toEqual(
    [1000, 3000, 6000].flatMap((rate) => [
      ['go', rate],
      ['ours, memory', rate],
    ]),
  );
  for (const result of results) judge(result);
}, 300_000);

interface BanResult {
  readonly entries: number;
  readonly ours: { readonly lookups: number; readonly lookupsPerCpuSecond: number; readonly memoryMiB: number };
  readonly nodeBlockList: { readonly lookups: number; readonly lookupsPerCpuSecond: number };
}

test('ban lookups with 110,000 entries are at least half as fast as with 10, measured beside Node’s own list', async () => {
  const running = promisify(execFile)('npm', ['run', '-s', 'bench:bans'], { cwd: REPO, encoding: 'utf8' });
  endWithTests(running.child);
  const { results } = JSON.parse((await running).stdout) as { results: BanResult[] };
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
