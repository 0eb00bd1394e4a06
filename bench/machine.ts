// What figures were measured on: without it they say nothing.
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { REPO } from '../test/support/repo.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly go: string;
  /** UTC. */
  readonly date: string;
  /** With `-dirty` after it when files were changed. */
  readonly commit: string;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.version,
    // In a folder of a Go program, whose go.mod may ask for another Go than the installed one.
    go: output('go', ['env', 'GOVERSION'], join(REPO, 'test/interop/go-bus')),
    date: new Date().toISOString(),
    commit: output('git', ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'], REPO),
  };
}

function output(command: string, args: readonly string[], cwd: string): string {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}
