// `teranode-p2p bans` and `peers`, run as processes against a server in this one: tables, JSON lines, exit codes.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type sendUnaryData } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { serviceDefinition } from '../../src/adapters/rpc/service-definition.ts';
import { GetPeersResponseSchema, PeerService } from '../../src/gen/p2p_api_pb.js';
import { temporaryFolder } from '../support/cleanup.ts';
import { runCli } from '../support/cli.ts';
import { ADMIN_KEY, EXPLANATION, KNOWN_PEER, PEER, serveGrpc, stopGrpcAfterEach } from '../support/grpc.ts';

stopGrpcAfterEach();

function jsonLines(stdout: string): Record<string, unknown>[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** A date within the ten years that a ban may last. */
const LATER = `${new Date().getUTCFullYear() + 5}-01-01`;
const KEYED = { grpc_admin_api_key: ADMIN_KEY };

describe('teranode-p2p bans', () => {
  test('add, list, explain, remove, clear, for people', async () => {
    const { address, admin } = await serveGrpc();
    const run = (...args: string[]) => runCli(['bans', ...args, '--address', address], KEYED);
    const nowMs = Date.now();

    const added = await run('add', '192.0.2.0/24', '--for', '24h');
    expect(added).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(/^banned 192\.0\.2\.0\/24 until 20/),
    });
    const untilMs = Number(admin.lastArgs('ban')?.[1]);
    expect(untilMs - nowMs).toBeGreaterThanOrEqual(86_400_000);
    expect(untilMs - nowMs).toBeLessThan(86_400_000 + 30_000);

    expect((await run('add', PEER)).stdout).toContain('default duration');
    expect(admin.lastArgs('ban')).toEqual([PEER, undefined, '']);
    expect((await run('add', '192.0.2.9', '--until', `${LATER}T00:00:00Z`)).status).toBe(0);
    expect(admin.lastArgs('ban')).toEqual(['192.0.2.9', Date.parse(LATER), '']);

    const listed = await run('list');
    const [head, first, second] = listed.stdout.split('\n');
    expect(listed.status).toBe(0);
    expect(head).toMatch(/^KEY +KIND +UNTIL +SOURCE +REASON +EVIDENCE +BECAUSE$/);
    expect(first).toMatch(/^192\.0\.2\.0\/24 +subnet +20\S+Z +operator +by the operator +- +-$/);
    expect(second?.indexOf('peer ')).toBe(head?.indexOf('KIND'));

    admin.explanation = EXPLANATION;
    const told = (await run('explain', PEER)).stdout;
    for (const part of [
      'banned',
      '30 as author',
      'banned at 100',
      'catch_up_failure',
      'recorded only',
      '198.51.100.9',
    ]) {
      expect(told).toContain(part);
    }

    expect(await run('remove', '192.0.2.9')).toMatchObject({ status: 0, stdout: 'lifted the ban of 192.0.2.9\n' });
    expect(await run('remove', '192.0.2.9')).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringContaining('nothing to lift'),
    });
    expect((await run('clear', '--yes')).stdout).toBe('lifted all bans\n');
    expect((await run('list')).stdout).toBe('no bans\n');
  });

  test('print JSON lines with --json', async () => {
    const { address, admin } = await serveGrpc();
    const run = (...args: string[]) => runCli(['bans', ...args, '--json', '--address', address, '--key', ADMIN_KEY]);
    expect(jsonLines((await run('add', '192.0.2.1', '--until', LATER)).stdout)).toEqual([
      { ok: true, subject: '192.0.2.1', until: `${LATER}T00:00:00Z`, isStored: true },
    ]);
    await run('add', PEER);
    expect(jsonLines((await run('list')).stdout)).toEqual([
      expect.objectContaining({ key: '192.0.2.1', kind: 'address', until: `${LATER}T00:00:00Z`, source: 'operator' }),
      expect.objectContaining({ key: PEER, kind: 'peer' }),
    ]);
    admin.explanation = EXPLANATION;
    const [told] = jsonLines((await run('explain', PEER)).stdout);
    expect(told).toMatchObject({ subject: PEER, threshold: 100, scores: [{ role: 'author', score: 30 }] });
    expect(jsonLines((await run('remove', PEER)).stdout)).toEqual([
      { ok: true, subject: PEER, isBanned: false, isStored: true },
    ]);
    expect(jsonLines((await run('clear', '--yes')).stdout)).toEqual([{ ok: true, isStored: true }]);
    expect((await run('list')).stdout).toBe('');
  });

  test('refuse wrong usage and say what is expected', async () => {
    const { address } = await serveGrpc();
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [['add', '192.0.2.1', '--for', 'soon'], '--for takes a duration'],
      [['add', '192.0.2.1', '--for', '0s'], '--for takes a duration'],
      [['add', '192.0.2.1', '--until', '2020-01-01T00:00:00Z'], '--until takes a time in the future'],
      [['add', '192.0.2.1', '--until', `${LATER}T00:00:00`], 'with its time zone'],
      [['add', '192.0.2.1', '--for', '1h', '--until', LATER], 'not both'],
      [['add'], 'Usage: teranode-p2p bans add [options] <ip | cidr | peer id>'],
      [['add', '192.0.2.1', '192.0.2.2'], 'Usage: teranode-p2p bans add [options] <ip | cidr | peer id>'],
      [['add', 'nobody'], 'INVALID_ARGUMENT'],
      [['frobnicate'], "unknown command 'frobnicate'"],
      [['lits'], 'Did you mean list?'],
      [['list', '--frobnicate'], "unknown option '--frobnicate'"],
      [['list', '--adress', '127.0.0.1:1'], 'Did you mean --address?'],
    ];
    for (const [args, says] of wrong) {
      const { status, stdout, stderr } = await runCli(['bans', ...args, '--address', address], KEYED);
      expect([args, status, stdout, stderr]).toEqual([args, 1, '', expect.stringContaining(says)]);
    }
  });
});

describe('teranode-p2p peers', () => {
  test('list, for people and programs; texts from peers cannot control the terminal', async () => {
    const { address, admin } = await serveGrpc();
    admin.connected = [{ ...KNOWN_PEER, agentVersion: 'evil\u001b[2J\n\u202eagent' }];
    const { status, stdout } = await runCli(['peers', 'list', '--address', address]);
    expect(status).toBe(0);
    expect(stdout.split('\n')).toHaveLength(3);
    expect(stdout).toContain('evil\\u{1b}[2J\\u{a}\\u{202e}agent');
    for (const part of [
      PEER,
      '/ip4/192.0.2.7/tcp/9905',
      'inbound',
      '886001',
      'whitelisted',
      'healthy',
      '1.25',
      '5000000000',
    ]) {
      expect(stdout).toContain(part);
    }
    const [peer] = jsonLines((await runCli(['peers', 'list', '--json', '--address', address])).stdout);
    expect(peer).toMatchObject({ id: PEER, height: 886_001, banScore: 30, connectedAt: '2023-11-14T22:13:20Z' });
    const { bestBlockHash, provenHeight, provenHash, dataHubUrl, localAddress } = KNOWN_PEER;
    expect(peer).toMatchObject({
      ...{ bestBlockHash, provenHeight, provenHash, dataHubUrl, localAddress },
      claimedAt: '2023-11-14T22:15:50Z',
      dataHubHealth: 'healthy',
      lastMessage: '2023-11-14T22:16:00Z',
      isBanned: false,
    });
    admin.connected = [{ ...KNOWN_PEER, dataHubHealth: 'unhealthy', isBanned: true }];
    const banned = (await runCli(['peers', 'list', '--address', address])).stdout;
    expect(banned).toMatch(/unhealthy +banned/);
    admin.connected = [{ ...KNOWN_PEER, height: 0 }];
    const genesis = (await runCli(['peers', 'list', '--address', address])).stdout;
    expect(genesis).toMatch(/Z +0 +healthy/);
    admin.connected = [];
    expect((await runCli(['peers', 'list', '--address', address])).stdout).toBe('no peers\n');
  });

  test('list, from a service that only has the methods of the Go service', async () => {
    const server = new Server();
    const peers = [{ id: PEER, addr: '/ip4/192.0.2.7/tcp/9905', currentHeight: 7 }];
    server.addService(serviceDefinition(PeerService), {
      GetPeers: (_call: unknown, answer: sendUnaryData<object>) =>
        answer(null, create(GetPeersResponseSchema, { peers })),
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    try {
      const { status, stdout } = await runCli(['peers', 'list', '--address', `127.0.0.1:${port}`]);
      expect([status, stdout]).toEqual([0, expect.stringContaining(PEER)]);
    } finally {
      server.forceShutdown();
    }
  });

  test('connect and disconnect; a failure says why', async () => {
    const { address, admin } = await serveGrpc();
    admin.connected = [KNOWN_PEER];
    const run = (...args: string[]) => runCli(['peers', ...args, '--address', address], KEYED);
    expect(await run('connect', '/ip4/192.0.2.7/tcp/9905')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('connected to'),
    });
    expect(await run('connect', '/ip4/192.0.2.8/tcp/9905')).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringContaining('no answer from /ip4/192.0.2.8/tcp/9905'),
    });
    expect((await run('connect', 'nowhere')).stderr).toContain('INVALID_ARGUMENT');
    expect(jsonLines((await run('disconnect', PEER, '--json')).stdout)).toEqual([{ ok: true, id: PEER }]);
    expect(await run('disconnect', PEER)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('is not connected'),
    });
  });
});

describe('finding the server and its key', () => {
  test('from the settings: the address for clients, else the listen address on this machine', async () => {
    const { address } = await serveGrpc();
    const port = address.split(':')[1];
    expect((await runCli(['bans', 'list'], { p2p_grpc_address: address })).stdout).toBe('no bans\n');
    for (const listening of [`:${port}`, `0.0.0.0:${port}`, `[::]:${port}`, address]) {
      const settings = { p2p_grpc_address: '', p2p_grpc_listen_address: listening };
      expect(await runCli(['bans', 'list'], settings)).toMatchObject({ status: 0, stdout: 'no bans\n' });
    }
  });

  test('the key: the option, else the setting, else <dataFolder>/admin.key', async () => {
    const { address, admin } = await serveGrpc();
    const dataFolder = temporaryFolder('cli-admin');
    const clear = (args: string[], env: Record<string, string>) =>
      runCli(['bans', 'clear', '--yes', '--address', address, ...args], { dataFolder, ...env });
    const without = await clear([], {});
    expect(without).toMatchObject({ status: 1, stderr: expect.stringContaining('UNAUTHENTICATED') });
    expect(without.stderr).toContain('admin.key');
    expect(without.stderr.trim().split('\n')).toHaveLength(1);
    writeFileSync(join(dataFolder, 'admin.key'), `${ADMIN_KEY}\n`);
    expect((await clear([], {})).status).toBe(0);
    const other = 'another key that is wrong';
    expect((await clear([], { grpc_admin_api_key: other })).status).toBe(1);
    expect((await clear(['--key', ADMIN_KEY], { grpc_admin_api_key: other })).status).toBe(0);
    expect(admin.calls).toHaveLength(2);
    writeFileSync(join(dataFolder, 'admin.key'), '');
    expect(await clear([], {})).toMatchObject({ status: 1, stderr: expect.stringContaining('ADMIN_KEY_REFUSED') });
    expect((await runCli(['bans', 'list', '--address', address], { dataFolder })).status).toBe(0);
  });

  test('reads settings of another folder; needs none for --address in a folder without settings', async () => {
    const { address } = await serveGrpc();
    const folder = temporaryFolder('cli-admin');
    expect(await runCli(['bans', 'list', '--address', address], {}, folder)).toMatchObject({
      status: 0,
      stdout: 'no bans\n',
    });
    expect(await runCli(['bans', 'list'], {}, folder)).toMatchObject({ status: 2, stdout: '' });
    mkdirSync(join(folder, 'settings'));
    const settings = `p2p_grpc_address = ${address}\np2p_port = 1\nnetwork = regtest\np2p_shared_key = ${'ab'.repeat(32)}\nasset_httpAddress = http://a\n`;
    const topics = ['block', 'subtree', 'handshake', 'mining_on', 'rejected_tx'];
    const lines = topics.map((topic) => `p2p_${topic}_topic = ${topic}\n`).join('');
    writeFileSync(join(folder, 'settings', 'settings.conf'), settings + lines);
    const found = await runCli(['bans', 'list', '--settings', join(folder, 'settings')], {}, folder);
    expect(found).toMatchObject({ status: 0, stdout: 'no bans\n' });
  });

  test('no server: exit code 1 and one line with the address', async () => {
    const { address, server } = await serveGrpc();
    await server.stop();
    for (const command of ['bans', 'peers']) {
      const { status, stdout, stderr } = await runCli([command, 'list', '--address', address]);
      expect([status, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(
        new RegExp(`^RPC_FAILED: the gRPC server at ${address} is not available: .*ECONNREFUSED.*\\n$`),
      );
    }
  });

  test('options of the connection may stand before the command, too', async () => {
    const { address } = await serveGrpc();
    expect(await runCli(['bans', '--json', '--address', address, 'list'])).toMatchObject({ status: 0, stdout: '' });
  });
});
