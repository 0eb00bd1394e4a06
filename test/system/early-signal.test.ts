// Told to stop while it is still starting: whenever that comes, it is no failure, and nothing is left.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { collectLines } from '../support/json-lines.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const NODE = process.execPath;
const SETTINGS = {
  p2p_port: '0',
  p2p_http_listen_address: '127.0.0.1:0',
  p2p_grpc_listen_address: '127.0.0.1:0',
  embedded_chain_lone_mine_interval: '',
  logLevel: 'DEBUG',
};

function start(command: readonly string[], env: Record<string, string> = {}) {
  const dataFolder = join(temporaryFolder('early'), 'data');
  const child = spawn(command[0] ?? '', command.slice(1), {
    cwd: REPO,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...SETTINGS, dataFolder, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithTests(child);
  return { child, dataFolder, output: collectLines(child.stdout), ended: ended(child) };
}

function ended(child: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
}

const PRELOADED = ['--import', join(REPO, 'test/support/signal-at-load.js')];

describe('SIGTERM while modules are loaded', () => {
  test.each([
    'src/cli/commands/start.ts',
    'src/app/compose.ts',
    'src/settings/load.ts',
    'node_modules/libp2p/',
    'node_modules/pino/',
    'src/adapters/embedded-chain/embedded-chain.ts',
  ])('%s', async (part) => {
    const program = [NODE, ...PRELOADED, 'src/cli/main.ts', 'start', '--json-logs'];
    const { output, ended: end, dataFolder } = start(program, { SIGNAL_AT: part });
    expect(await end).toEqual({ code: 0, signal: null });
    expect(output.json.some(({ event }) => event === 'signalled')).toBe(true);
    expect(existsSync(dataFolder)).toBe(false);
  });
});

describe('SIGTERM to npm start', () => {
  test.each<[string, (run: ReturnType<typeof start>) => boolean]>([
    ['the data folder is there', ({ dataFolder }) => existsSync(dataFolder)],
    ['the chain is being opened', ({ dataFolder }) => existsSync(join(dataFolder, 'blockchain.db'))],
    ['the first line is written', ({ output }) => output.json.length > 0],
    ['HTTP listens', ({ output }) => output.json.some(({ event }) => event === 'HTTP server started')],
    ['the node listens', ({ output }) => output.json.some(({ event }) => event === 'node started')],
  ])('as soon as %s', async (_moment, hasCome) => {
    const run = start(['npm', 'start', '--', '--json-logs']);
    await waitFor(() => hasCome(run), { timeoutMs: 30_000, what: 'the moment' });
    run.child.kill('SIGTERM');
    expect(await run.ended).toEqual({ code: 0, signal: null });
  });
});

describe('the built program', () => {
  beforeAll(() => {
    execFileSync('npm', ['run', '-s', 'build'], { cwd: REPO, stdio: 'inherit' });
  });

  test.each(['dist/cli/main.js', 'dist/cli/part-program.js', 'dist/cli/part-start.js'])(
    'SIGTERM while %s is loaded',
    async (part) => {
      const program = [NODE, ...PRELOADED, 'bin/teranode-p2p.js', 'start', '--json-logs'];
      const { output, ended: end } = start(program, { SIGNAL_AT: part });
      expect(await end).toEqual({ code: 0, signal: null });
      expect(output.json.some(({ event }) => event === 'signalled')).toBe(true);
    },
  );
});
