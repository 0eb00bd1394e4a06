// The fuzzer finds faults that were planted for it, which need what only coverage leads to.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { endWithTests } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

const FAULTS = ['planted: a height below zero', 'planted: read behind the end', 'planted: too slow'];
const MAX_SEEDS = 6;

/** What the command prints. */
function fuzzPlanted(seed: number): Promise<string> {
  const command = ['--disable-warning=ExperimentalWarning', join(REPO, 'test/fuzz/run.ts')];
  const options = ['--planted', '--inputs', '500000', '--seed', String(seed)];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [...command, ...options], (_error, stdout) => resolve(stdout));
    endWithTests(child);
  });
}

test('the fuzzer finds each planted fault from one of six seeds', { timeout: 600_000 }, async () => {
  let missing = FAULTS;
  for (let seed = 1; seed <= MAX_SEEDS && missing.length > 0; seed += 1) {
    const output = await fuzzPlanted(seed);
    missing = missing.filter((fault) => !output.includes(fault));
  }
  expect(missing).toEqual([]);
});
