// `npm run kafka`, the broker that newcomers start by hand.
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { endWithTests } from '../support/cleanup.ts';
import { freePort } from '../support/kafka-broker.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const groups = new Set<number>();

afterAll(() => {
  for (const group of groups) for (const pid of membersOf(group)) process.kill(pid, 'SIGKILL');
});

/** Living processes of a process group, with this command or any. */
function membersOf(group: number, command?: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        // pid (command) state parent group …
        const [, name, state, of] = /\((.*)\) (\S) \d+ (\d+) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
        return Number(of) === group && state !== 'Z' && (command === undefined || name === command);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** `npm run kafka`, once it says that its broker answers. */
async function startScript() {
  const port = await freePort();
  const child = spawn('npm', ['run', '-s', 'kafka', '--', '--port', String(port)], {
    cwd: REPO,
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: what it leaves behind is found, and ended.
    detached: true,
  });
  endWithTests(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  await waitFor(() => output.includes(`Kafka answers at 127.0.0.1:${port}`), { timeoutMs: 90_000, what: 'the broker' });
  const group = child.pid ?? 0;
  groups.add(group);
  return { child, port, exited, group, output: () => output };
}

test('npm run kafka ends with exit code 1 and says so when its broker is killed', async () => {
  const script = await startScript();
  const [broker = 0, ...others] = membersOf(script.group, 'java');
  expect(others).toEqual([]);
  process.kill(broker, 'SIGKILL');
  expect(await script.exited).toBe(1);
  expect(script.output()).toContain(`The Kafka broker at 127.0.0.1:${script.port} has ended (SIGKILL).`);
});

test('npm run kafka ends with exit code 0 after SIGTERM and leaves no broker behind', async () => {
  const script = await startScript();
  script.child.kill('SIGTERM');
  expect(await script.exited).toBe(0);
  await waitFor(() => membersOf(script.group, 'java').length === 0, { what: 'the end of the broker' });
  expect(script.output()).not.toContain('has ended');
});

test('npm run kafka names a port that is in use and exits with code 1', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const { status, stderr } = spawnSync('npm', ['run', '-s', 'kafka', '--', '--port', String(port)], {
    cwd: REPO,
    encoding: 'utf8',
  });
  server.close();
  expect(status).toBe(1);
  expect(stderr).toContain(`port ${port} is in use`);
});
