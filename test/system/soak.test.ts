// `npm run soak` in short: that it runs, and that it finds what it is there to find.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Findings } from '../../bench/soak/report.ts';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

interface Result extends Findings {
  readonly failures: readonly string[];
  readonly samples: readonly object[];
}

async function soak(...args: readonly string[]): Promise<{ code: number | null; output: string; folder: string }> {
  const folder = temporaryFolder('soak-result');
  const child = spawn('npm', ['run', '-s', 'soak', '--', '--out', folder, ...args], {
    cwd: REPO,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithTests(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { code, output, folder };
}

const resultIn = (folder: string) => JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8')) as Result;

test('a short soak with every kind of fault loses nothing that was accepted, bans nobody and finds no leak', async () => {
  const { code, output, folder } = await soak('--minutes', '1.5', '--seed', 'short');
  expect(output).toContain('accepted and lost');
  const result = resultIn(folder);
  expect(result.failures).toEqual([]);
  expect(code).toBe(0);
  expect(new Set(result.faults.map(({ kind }) => kind)).size).toBeGreaterThanOrEqual(17);
  expect(result.balance.accepted).toBeGreaterThan(500);
  expect(result.bans.lifted).toBeGreaterThan(0);
  expect(result.samples.length).toBeGreaterThan(20);
  const drawn = readFileSync(join(folder, 'soak.svg'), 'utf8');
  expect(drawn.match(/<g /g)).toHaveLength(result.judged.length);
  expect(drawn).toContain('class="fault"');
}, 600_000);

test('a soak of a server that leaks memory and open files fails and names both', async () => {
  const leak = join(REPO, 'test/support/leak-on-purpose.js');
  const { code, output, folder } = await soak('--minutes', '1', '--faults', 'none', '--import', leak);
  expect(code).toBe(1);
  const leaks = resultIn(folder).judged.filter(({ isLeak }) => isLeak);
  expect(leaks.map(({ measure }) => measure.figure)).toEqual(expect.arrayContaining(['heapMiB', 'openFiles']));
  expect(output).toMatch(/FAILED: heap, MiB grew by at least \S+, \S+ are allowed/);
}, 600_000);

test.each([
  ['--minutes', 'none', 'invalid length "none"'],
  ['--faults', 'flood', 'no fault "flood" (expected broker killed; '],
])('refuses %s %s and starts nothing', async (option, value, reason) => {
  const { code, output } = await soak(option, value);
  expect(code).toBe(2);
  expect(output).toContain(reason);
});
