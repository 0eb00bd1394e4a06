import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { COMPILE_CACHE, REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

/** Runs a command with a terminal as its standard streams, and no shell beside it, which Ctrl-C would end with 130. */
function inTerminal(command: string, env: Readonly<Record<string, string>> = {}) {
  const child = spawn('script', ['-qec', `exec ${command}`, '/dev/null'], {
    cwd: REPO,
    env: { ...process.env, ...COMPILE_CACHE, NO_COLOR: '1', ...env },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  endWithTests(child);
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return {
    type: (keys: string) => void child.stdin.write(keys),
    shows: (expected: RegExp) =>
      waitFor(() => expected.exec(text) ?? undefined, { timeoutMs: 90_000, what: `${expected} in ${text}` }),
    ended,
  };
}

const CTRL_C = '\u0003';

test('a development network in a terminal shows the address of its dashboard first, and takes typed commands', async () => {
  const terminal = inTerminal('npm run -s devnet -- --nodes 1 --mine-every 0 --http-port 0');
  await terminal.shows(
    /^dashboard +http:\/\/127\.0\.0\.1:\d+\/\r?\nnode 1 +http:\/\/127\.0\.0\.1:\d+\r?\ncontrol +http/,
  );
  await terminal.shows(/type help for what can be done/);
  terminal.type('help\nfly\nmine 1 2\n');
  await terminal.shows(/ {2}liar {2,}add a peer/);
  await terminal.shows(/unknown command "fly"/);
  await terminal.shows(/block +2 [0-9a-f]{16}… mined by node 1/);
  terminal.type(CTRL_C);
  expect(await terminal.ended).toBe(0);
}, 120_000);

test('npm start in a terminal says where the node is reached over HTTP before all other addresses', async () => {
  const terminal = inTerminal('npm start', {
    dataFolder: temporaryFolder('terminal'),
    p2p_port: '0',
    p2p_http_listen_address: '127.0.0.1:0',
    p2p_http_address: '',
    p2p_grpc_listen_address: '127.0.0.1:0',
  });
  const [, url = ''] = await terminal.shows(/The node is ready: (http:\/\/\S+)[\s\S]*INFO: ready[\s\S]*peerId/);
  expect((await fetch(`${url}/health/live`)).status).toBe(200);
  terminal.type(CTRL_C);
  await terminal.ended;
}, 120_000);
