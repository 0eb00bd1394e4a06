// The fuzzer finds faults that were planted for it, which need what only coverage leads to.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { endWithTests } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

const FAULTS = ['planted: a height below zero', 'planted: read behind the end', 'planted: too slow'];

test('the fuzzer finds each planted fault within a million inputs', { timeout: 300_000 }, async () => {
  const flags = ['--disable-warning=ExperimentalWarning', join(REPO, 'test/fuzz/run.ts')];
  const { code, output } = await new Promise<{ code: unknown; output: string }>((resolve) => {
    const options = ['--planted', '--inputs', '1000000', '--seed', '1'];
    const child = execFile(process.execPath, [...flags, ...options], (error, stdout) =>
      resolve({ code: error?.code ?? 0, output: stdout }),
    );
    endWithTests(child);
  });
  expect(FAULTS.filter((fault) => !output.includes(fault))).toEqual([]);
  expect(code).toBe(1);
});
