// The command line as a process of its own, so that it can call a server inside the test.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { COMPILE_CACHE, REPO } from './repo.ts';

export interface CliEnded {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `env`: settings, in addition to a dataFolder of its own. Default folder: this checkout with its settings. */
export function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd = REPO,
): Promise<CliEnded> {
  const child = spawn(process.execPath, [join(REPO, 'src/cli/main.ts'), ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? '', ...COMPILE_CACHE, dataFolder: temporaryFolder('cli'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithTests(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })));
}
