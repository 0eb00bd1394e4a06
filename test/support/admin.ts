// What an operator does at a running server, by the command line as a process of its own.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { COMPILE_CACHE, REPO } from './repo.ts';
import type { ServerProcess } from './server-process.ts';

export interface CommandOutcome {
  readonly code: number | null;
  /** Lines of `--json`. */
  readonly lines: Record<string, unknown>[];
  readonly errors: string;
}

/** `bans add …`, `peers list`; with the key that the server keeps in its folder. */
export async function command(server: ServerProcess, ...args: readonly string[]): Promise<CommandOutcome> {
  const child = spawn(
    'node',
    [join(REPO, 'src/cli/main.ts'), ...args, '--json', '--address', server.ready.grpcAddress],
    {
      cwd: REPO,
      env: { PATH: process.env.PATH ?? '', ...COMPILE_CACHE, ...server.settings, dataFolder: server.dataFolder },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    code,
    lines: output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>),
    errors,
  };
}

/** Throws when the command fails. */
export async function admin(server: ServerProcess, ...args: readonly string[]): Promise<Record<string, unknown>[]> {
  const { code, lines, errors } = await command(server, ...args);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${errors}`);
  return lines;
}

/** Keys of all bans in force. */
export async function bannedKeys(server: ServerProcess): Promise<string[]> {
  return (await admin(server, 'bans', 'list')).map(({ key }) => String(key)).sort();
}
