// The examples run as they stand.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { collectLines } from '../support/json-lines.ts';
import { REPO } from '../support/repo.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

test('embed-server prints the blocks that another node mines', async () => {
  const miner = await ServerProcess.start({ settings: { embedded_chain_mine_interval: '200ms' } });
  const env = {
    PATH: process.env.PATH ?? '',
    dataFolder: temporaryFolder('example'),
    p2p_port: '0',
    p2p_http_listen_address: '127.0.0.1:0',
    p2p_grpc_listen_address: '127.0.0.1:0',
    embedded_chain_lone_mine_interval: '',
    p2p_static_peers: miner.address,
  };
  const child = spawn(process.execPath, [join(REPO, 'examples/embed-server.ts')], {
    cwd: REPO,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithTests(child);
  const lines = collectLines(child.stdout);
  const seen = await waitFor(() => lines.text.length >= 3 && lines.text, { timeoutMs: 60_000, what: 'three blocks' });
  for (const line of seen)
    expect(line).toMatch(
      new RegExp(`^block [0-9a-f]{64} at http://127\\.0\\.0\\.1:\\d+/api/v1, says ${miner.peerId}$`),
    );
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await exited).toBe(0);
  // Not stop(): npm 9 does not pass SIGTERM on to the program.
  await miner.interrupt();
}, 150_000);
