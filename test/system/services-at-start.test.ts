// A node whose blockchain service, which holds its key, is not there when it starts.
import { spawn } from 'node:child_process';
import { afterEach, describe, expect, test } from 'vitest';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { collectLines } from '../support/json-lines.ts';
import { freePort } from '../support/kafka-broker.ts';
import { DATA_HUB, privateNetwork } from '../support/network.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const running: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

async function startServices(options: Parameters<typeof ReferenceServiceProcess.start>[0]) {
  const services = await ReferenceServiceProcess.start(options);
  running.push(services);
  return services;
}

/** All three services at one address. */
function servicesAt(address: string): Record<string, string> {
  return {
    ...privateNetwork('regtest'),
    asset_httpPublicAddress: DATA_HUB,
    blockchain_grpcAddress: address,
    blockvalidation_grpcAddress: address,
    blockassembly_grpcAddress: address,
  };
}

describe('a blockchain service that is not there at start', () => {
  /** `npm start`, not awaited. */
  function begin(settings: Record<string, string>) {
    const env = {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      p2p_port: '0',
      p2p_http_listen_address: '127.0.0.1:0',
      p2p_grpc_listen_address: '127.0.0.1:0',
      embedded_chain_mine_interval: '',
      dataFolder: temporaryFolder('begun'),
      ...settings,
    };
    const child = spawn('npm', ['start', '--', '--json-logs'], {
      cwd: REPO,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    endWithTests(child);
    const output = collectLines(child.stdout);
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    return {
      awaitLine: async (event: string) =>
        await waitFor(() => output.json.find((line) => line.event === event), { timeoutMs: 60_000, what: event }),
      stop: async () => {
        child.kill('SIGTERM');
        return await ended;
      },
    };
  }

  const WAITS = 'blockchain service does not answer, waiting';

  test('is waited for; the server gets ready when it comes', async () => {
    const port = await freePort();
    const http = await freePort();
    const begun = begin({ ...servicesAt(`127.0.0.1:${port}`), p2p_http_listen_address: `127.0.0.1:${http}` });
    await begun.awaitLine(WAITS);
    const asked = async (path: string) => (await fetch(`http://127.0.0.1:${http}${path}`)).status;
    await waitFor(async () => (await asked('/health/live')) === 200, { timeoutMs: 30_000, what: 'an answer' });
    expect(await asked('/health/ready')).toBe(503);
    await startServices({ port });
    await begun.awaitLine('ready');
    await waitFor(async () => (await asked('/health/ready')) === 200, { timeoutMs: 30_000, what: 'readiness' });
    expect(await begun.stop()).toBe(0);
  });

  test('a server told to stop while it waits ends with code 0', async () => {
    const begun = begin(servicesAt(`127.0.0.1:${await freePort()}`));
    await begun.awaitLine(WAITS);
    expect(await begun.stop()).toBe(0);
  });

  test('and so does one that waits for the state machine to leave IDLE, whose service is killed meanwhile', async () => {
    const services = await startServices({ fsmState: 'IDLE' });
    const begun = begin(servicesAt(services.address));
    await waitFor(async () => (await services.counts('WaitUntilFSMTransitionFromIdleState')).calls > 0, {
      timeoutMs: 30_000,
      what: 'the wait',
    });
    await services.kill();
    await begun.awaitLine('waiting for the blockchain service');
    expect(await begun.stop()).toBe(0);
  });
});
