// `teranode-p2p bans`, `peers` and `chain`, run as processes against a server in this one: tables, JSON lines, exit codes.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type sendUnaryData } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { serviceDefinition } from '../../src/adapters/rpc/service-definition.ts';
import type { BlockHash } from '../../src/domain/ids.ts';
import { GetPeersResponseSchema, PeerService } from '../../src/gen/p2p_api_pb.js';
import { encodeHeader } from '../../src/wire/header.ts';
import { chosen, NO_SYNC } from '../fakes/admin-api.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { runCli } from '../support/cli.ts';
import { ADMIN_KEY, EXPLANATION, HASH, KNOWN_PEER, PEER, serveGrpc, stopGrpcAfterEach } from '../support/grpc.ts';

stopGrpcAfterEach();

function jsonLines(stdout: string): Record<string, unknown>[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

function headerWith(previousHash: BlockHash): Uint8Array {
  const time = Date.parse('2026-01-02T03:04:05Z') / 1000;
  return encodeHeader({ version: 1, previousHash, merkleRoot: HASH, time, bits: 0x207fffff, nonce: 0 });
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
      '1.25 ms',
      '5.00 GB',
      '123 B',
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
    expect((await run('connect', 'nowhere')).stderr).toContain('INPUT_INVALID');
    expect(jsonLines((await run('disconnect', PEER, '--json')).stdout)).toEqual([{ ok: true, id: PEER }]);
    expect(await run('disconnect', PEER)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('is not connected'),
    });
  });
});

describe('teranode-p2p chain', () => {
  const parent = { hash: HASH, height: 6, header: headerWith('00'.repeat(32) as BlockHash), miner: '/a/' };
  const tip = { hash: 'cd'.repeat(32) as BlockHash, height: 7, header: headerWith(HASH), miner: '/b\u001b[2J/' };
  const facts = { txCount: 12n, sizeInBytes: 1_250_000n, chainWork: 255n, invalid: false };

  test('tip, with what peers claim and prove, and how far behind it is', async () => {
    const { address, admin } = await serveGrpc();
    const run = (...args: string[]) => runCli(['chain', 'tip', ...args, '--address', address]);
    expect((await run()).stdout).toMatch(/^own tip +unknown: the blockchain service does not answer\n/);
    expect((await run()).stdout).toMatch(/^claimed by peers +unknown: no peer is connected\n/m);
    const choice = chosen(PEER, 'Chosen\u001b[2J because.');
    admin.syncView = { ...NO_SYNC, fsmState: 'CATCHINGBLOCKS', bestHeight: 886_000, bestBlockHash: HASH, choice };
    const lower = { ...KNOWN_PEER, height: 1, provenHeight: undefined, provenHash: undefined };
    admin.connected = [lower, KNOWN_PEER];
    const { status, stdout } = await run();
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`^own tip +886000 ${HASH}\n`));
    expect(stdout).toMatch(/^FSM +CATCHINGBLOCKS$/m);
    expect(stdout).toMatch(/^claimed by peers +886001 (cd){32} \(by 1 of 2 peers\)$/m);
    expect(stdout).toMatch(/^proven by peers +886000 (ef){32} \(by 1 of 2 peers\)$/m);
    expect(stdout).toMatch(/^behind +1 block$/m);
    expect(stdout).toMatch(/^sync peer +none\n +Chosen\\u\{1b\}\[2J because\.$/m);
    expect(jsonLines((await run('--json')).stdout)).toEqual([
      expect.objectContaining({ bestHeight: 886_000, blocksBehind: 1, claimed: expect.objectContaining({ peers: 1 }) }),
    ]);
  });

  test('headers and header, for people and programs', async () => {
    const { address, admin } = await serveGrpc();
    const run = (...args: string[]) => runCli(['chain', ...args, '--address', address]);
    expect((await run('headers')).stdout).toBe('no headers\n');
    admin.chain = [
      { ...tip, ...facts },
      { ...parent, ...facts, invalid: true },
    ];
    const [head, first, second] = (await run('headers', '--count', '5')).stdout.split('\n');
    expect(admin.lastArgs('headers')).toEqual(['', 5]);
    expect(head).toMatch(/^ +HEIGHT +HASH +TIME +TRANSACTIONS +SIZE +MINER$/);
    expect(first).toMatch(/^ +7 +(cd){32} +2026-\S+Z +12 +1\.25 MB +\/b\\u\{1b\}\[2J\/$/);
    expect(second).toMatch(/^6 invalid +(ab){32}/);
    const shown = await run('header', '7');
    expect(shown.stdout).toMatch(/^previous +(ab){32}$/m);
    expect(shown.stdout).toMatch(/^chain work +ff$/m);
    const header = Buffer.from(parent.header).toString('hex');
    expect(jsonLines((await run('header', HASH, '--json')).stdout)).toEqual([
      expect.objectContaining({ hash: HASH, height: 6, header, isInvalid: true, txCount: 12, chainWork: 'ff' }),
    ]);
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
