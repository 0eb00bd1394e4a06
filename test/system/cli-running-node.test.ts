// The command line finds the node that runs from a data folder, and shows it at a glance.
import { afterEach, describe, expect, test } from 'vitest';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { runCli } from '../support/cli.ts';
import { freePort } from '../support/kafka-broker.ts';
import { ServerProcess } from '../support/server-process.ts';

const stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function start(settings: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings });
  stops.push(() => server.stop());
  return server;
}

describe('a data folder names its node', () => {
  test('to every command; --address names another; `status` shows peer ID, addresses, peers, tip and health', async () => {
    const server = await start();
    const other = await start({ p2p_static_peers: server.address });
    const { dataFolder, peerId, ready } = server;
    const status = await runCli(['status'], { dataFolder });
    expect(status).toMatchObject({ status: 0, stderr: '' });
    const httpPort = ready.httpAddress.split(':').at(-1);
    for (const part of [peerId, ...ready.listenAddresses, `http://127.0.0.1:${httpPort}`])
      expect(status.stdout).toContain(part);
    expect(status.stdout).toMatch(/^health +ready$/m);
    expect(status.stdout).toMatch(/^peers +\d/m);
    expect(status.stdout).toMatch(/^tip +0 [0-9a-f]{64}$/m);
    expect(status.stdout).toMatch(/^FSM +RUNNING$/m);
    const peers = await runCli(['peers', 'list'], { dataFolder });
    expect(peers).toMatchObject({ status: 0, stdout: expect.stringContaining(other.peerId) });
    expect((await runCli(['bans', 'add', '192.0.2.1'], { dataFolder })).status).toBe(0);
    const elsewhere = ['--json', '--address', other.ready.grpcAddress];
    expect(JSON.parse((await runCli(['status', ...elsewhere], { dataFolder })).stdout)).toMatchObject({
      peerId: other.peerId,
      isReady: true,
    });
    expect((await runCli(['bans', 'list', ...elsewhere], { dataFolder })).stdout).toBe('');
  });

  test('a node that was killed is told from the one that took its port, and from one that is gone', async () => {
    const p2p_grpc_listen_address = `127.0.0.1:${await freePort()}`;
    const killed = await ServerProcess.start({ settings: { p2p_grpc_listen_address } });
    const { dataFolder } = killed;
    await killed.kill();
    const gone = await runCli(['peers', 'list'], { dataFolder });
    expect(gone).toMatchObject({ status: 1, stdout: '' });
    expect(gone.stderr).toMatch(
      /^RPC_FAILED: the node of dataFolder \S+ is not running: nothing answers at .*--address/,
    );
    expect(gone.stderr).toContain(dataFolder);
    const next = await start({ p2p_grpc_listen_address });
    const taken = await runCli(['bans', 'clear'], { dataFolder });
    expect(taken).toMatchObject({ status: 1, stdout: '' });
    expect(taken.stderr).toContain(`another node (${next.peerId}) answers at ${p2p_grpc_listen_address}`);
    const again = await ServerProcess.start({ dataFolder });
    stops.push(() => again.stop());
    expect((await runCli(['peers', 'list'], { dataFolder })).stdout).toBe('no peers\n');
  });

  test('over TLS with client certificates, although the settings of the command line know nothing of it', async () => {
    const folder = temporaryFolder('cli-tls');
    const authority = await makeAuthority(folder, 'authority');
    const { certFile, keyFile } = await makeCertificate(folder, 'node', authority);
    const files = { server_certFile: certFile, server_keyFile: keyFile, server_caFile: authority.certFile };
    const { dataFolder, peerId } = await start({ security_level_grpc: '3', ...files });
    const status = await runCli(['status'], { dataFolder });
    expect(status).toMatchObject({ status: 0, stdout: expect.stringContaining(peerId) });
  });
});
