// What calls without the admin key may cost: rates and sizes, answers that nobody reads, streams, wrong keys.
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createPeerClient } from '../../src/client/index.ts';
import { PeerService } from '../../src/gen/p2p_api_pb.js';
import { PolicyService } from '../../src/gen/teranode_p2p_pb.js';
import type { FakeAdminApi } from '../fakes/admin-api.ts';
import { ADMIN_KEY, rawCall, rawClient, serveGrpc, stopGrpcAfterEach } from '../support/grpc.ts';
import { serveHttp, stopHttpAfterEach } from '../support/http.ts';
import { waitFor } from '../support/wait.ts';

stopGrpcAfterEach();
stopHttpAfterEach();

const sessions: ClientHttp2Session[] = [];
afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
});

const { method: peers } = PeerService;
const { method: policy } = PolicyService;
const MIB = 1024 * 1024;
const LIST_BANS = '/teranode_p2p.PolicyService/ListBans';
const REFLECTION = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';

/** An HTTP/2 connection whose streams have a window of 0: no answer is ever read. */
function deaf(address: string, localAddress = '127.0.0.1'): ClientHttp2Session {
  const { hostname, port } = new URL(`http://${address}`);
  const session = connectHttp2(`http://${address}`, {
    settings: { initialWindowSize: 0 },
    createConnection: () => connect({ host: hostname, port: Number(port), localAddress }),
  }).on('error', () => {});
  sessions.push(session);
  return session;
}

/** Begins a call with these bytes of a framed request. */
function begin(session: ClientHttp2Session, path: string, bytes: Buffer) {
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request(headers).on('error', () => {});
  stream.write(bytes);
  return stream;
}

const EMPTY_FRAME = Buffer.alloc(5);

function ban(admin: FakeAdminApi, count: number): void {
  for (let i = 0; i < count; i += 1) {
    admin.put({
      key: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
      kind: 'address',
      untilMs: 4_000_000_000_000,
      createdAtMs: 1_700_000_000_000,
      reason: 'banned by the operator for a reason that takes some words',
      evidence: 'author_is_peer_id on teranode-block',
      source: 'operator',
      causedBy: undefined,
    });
  }
}

describe('answers that nobody reads', () => {
  test('three connections with 60 calls each for 100,000 bans cost little memory, and others are served', async () => {
    const { address, admin } = await serveGrpc({ ratePerSecond: 500 });
    ban(admin, 100_000);
    const asking = rawClient(address);
    await rawCall(asking, peers.getPeers, {});
    const beforeBytes = process.memoryUsage().rss;
    for (let i = 0; i < 3; i += 1) {
      const session = deaf(address);
      for (let each = 0; each < 60; each += 1) begin(session, LIST_BANS, EMPTY_FRAME).end();
    }
    for (let i = 0; i < 20; i += 1) {
      expect((await rawCall(asking, peers.getPeers, {}, { deadlineMs: 10_000, keys: [ADMIN_KEY] })).code).toBe('OK');
    }
    expect(process.memoryUsage().rss - beforeBytes).toBeLessThan(400 * MIB);
  });

  test('of many bytes end the connection that does not read them', async () => {
    const { address, admin, metrics } = await serveGrpc();
    ban(admin, 10_000);
    const session = deaf(address);
    for (let each = 0; each < 60; each += 1) begin(session, LIST_BANS, EMPTY_FRAME).end();
    await waitFor(() => session.destroyed, { what: 'the end of the connection' });
    expect(metrics.count('teranode_p2p_grpc_connections_refused_total', { reason: 'unread' })).toBe(1);
    await waitFor(() => metrics.gaugeValue('teranode_p2p_grpc_unread_bytes') === 0, { what: 'no bytes' });
    expect((await rawCall(rawClient(address), policy.listBans, {})).response?.bans).toHaveLength(10_000);
  });

  test('are counted until they are read', async () => {
    const { address, admin, metrics } = await serveGrpc();
    ban(admin, 5000);
    const session = deaf(address);
    const stream = begin(session, LIST_BANS, EMPTY_FRAME);
    stream.end();
    const unread = () => metrics.gaugeValue('teranode_p2p_grpc_unread_bytes');
    await waitFor(() => unread() > 100_000, { what: 'unread bytes' });
    stream.close();
    await waitFor(() => unread() === 0, { what: 'no bytes after the call' });
  });
});

test('an answer that comes after its call was given up does not end the connection later, and is not counted', async () => {
  const { address, admin, metrics } = await serveGrpc();
  const gate = Promise.withResolvers<void>();
  admin.gate = gate.promise;
  const asking = rawClient(address);
  const request = { peerAddress: '/ip4/192.0.2.7/tcp/9905' };
  const late = await rawCall(asking, peers.connectPeer, request, { keys: [ADMIN_KEY], deadlineMs: 300 });
  expect(late.code).toBe('DEADLINE_EXCEEDED');
  await waitFor(() => metrics.count('teranode_p2p_grpc_requests_total') === 1, { what: 'the end of the call' });
  gate.resolve();
  for (let i = 0; i < 3; i += 1) expect((await rawCall(asking, peers.getPeers, {})).code).toBe('OK');
  expect(metrics.gaugeValue('teranode_p2p_grpc_unread_bytes')).toBe(0);
});

describe('lists', () => {
  test('of PeerService are whole for a caller that sends no fields and no key, up to 100,000 bans', async () => {
    const { address, admin } = await serveGrpc({ ratePerSecond: 500 });
    ban(admin, 100_000);
    const { response } = await rawCall(rawClient(address), peers.listBanned, Buffer.alloc(0));
    expect(response?.banned).toHaveLength(100_000);
  });

  test('of more than 10,000 bans with details are given in pages, or with the admin key', async () => {
    const { address, admin } = await serveGrpc({ ratePerSecond: 500 });
    ban(admin, 12_000);
    const asking = rawClient(address);
    const refused = await rawCall(asking, policy.listBans, Buffer.alloc(0));
    expect([refused.code, refused.details]).toEqual([
      'RESOURCE_EXHAUSTED',
      expect.stringMatching(/12000 bans.*admin key.*offset and limit/),
    ]);
    const keys = [ADMIN_KEY];
    expect((await rawCall(asking, policy.listBans, {}, { keys })).response?.bans).toHaveLength(12_000);
    const page = await rawCall(asking, policy.listBans, { offset: 11_999, limit: 10 });
    expect([page.response?.bans.map(({ key }) => key), page.response?.total]).toEqual([['10.0.46.223'], 12_000]);
    expect((await rawCall(asking, policy.listBans, { limit: 10_001 })).code).toBe('INVALID_ARGUMENT');
    const client = createPeerClient({ address });
    expect(new Set((await client.listBans()).map(({ key }) => key)).size).toBe(12_000);
    client.close();
  });

  test('of up to 10,000 bans are given whole to a caller that knows no pages, and are current with the key', async () => {
    const { address, admin } = await serveGrpc();
    ban(admin, 10_000);
    const asking = rawClient(address);
    expect((await rawCall(asking, policy.listBans, Buffer.alloc(0))).response?.bans).toHaveLength(10_000);
    const keys = [ADMIN_KEY];
    await rawCall(asking, peers.unbanPeer, { addr: '10.0.0.1' }, { keys });
    expect((await rawCall(asking, policy.listBans, {}, { keys })).response?.bans).toHaveLength(9999);
    // Without it within a second.
    await waitFor(async () => (await rawCall(asking, policy.listBans, {})).response?.bans.length === 9999, {
      what: 'the current list',
    });
  });
});

describe('the rate of an address', () => {
  test('refuses further calls; other addresses, health checks and the admin key are not counted', async () => {
    const { address } = await serveGrpc({ ratePerSecond: 1 });
    const asking = rawClient(address);
    const codes: string[] = [];
    for (let i = 0; i < 30; i += 1) codes.push((await rawCall(asking, peers.isBanned, { ipOrSubnet: '1.1.1.1' })).code);
    expect(codes.slice(0, 5)).toEqual(Array(5).fill('OK'));
    const refused = await rawCall(asking, peers.getPeers, {});
    expect([refused.code, refused.details]).toEqual(['RESOURCE_EXHAUSTED', expect.stringContaining('p2p_grpc_rate')]);
    expect((await rawCall(asking, peers.getPeers, {}, { keys: [ADMIN_KEY] })).code).toBe('OK');
    const other = await answerOf(begin(deafNot(address, '127.0.0.9'), '/p2p_api.PeerService/GetPeers', EMPTY_FRAME));
    expect(other).toBe('0');
    expect(await answerOf(begin(deafNot(address), '/grpc.health.v1.Health/Check', EMPTY_FRAME))).toBe('0');
  });

  test('counts large answers as many calls', async () => {
    const { address, admin } = await serveGrpc({ ratePerSecond: 5 });
    ban(admin, 10_000);
    const asking = rawClient(address);
    const codes = await Promise.all(
      Array.from({ length: 20 }, async () => (await rawCall(asking, policy.listBans, {})).code),
    );
    expect(codes.filter((code) => code === 'OK').length).toBeLessThan(5);
    expect(codes).toContain('RESOURCE_EXHAUSTED');
  });
});

/** As `deaf`, but with a window. */
function deafNot(address: string, localAddress = '127.0.0.1'): ClientHttp2Session {
  const session = deaf(address, localAddress);
  session.settings({ initialWindowSize: 65_535 });
  return session;
}

/** The status of a call. */
async function answerOf(stream: ReturnType<typeof begin>): Promise<string> {
  const found = Promise.withResolvers<string>();
  const look = (headers: object) => {
    if ('grpc-status' in headers) found.resolve(String(headers['grpc-status']));
  };
  stream.on('response', look).on('trailers', look).resume();
  stream.end();
  return await found.promise;
}

describe('wrong admin keys', () => {
  const guess = (address: string, key: string) =>
    rawCall(rawClient(address), peers.clearBanned, {}, { keys: [key] }).then(({ code }) => code);

  test('are counted together for gRPC and HTTP, logged once, and the right key is still taken', async () => {
    const http = await serveHttp();
    const { adminKeys } = http;
    const { address, admin } = await serveGrpc({ adminKeys });
    const codes: string[] = [];
    for (let i = 0; i < 30; i += 1) codes.push(await guess(address, `guess ${i}`));
    expect(codes).toEqual([...Array(10).fill('UNAUTHENTICATED'), ...Array(20).fill('RESOURCE_EXHAUSTED')]);
    expect(await guess(address, ADMIN_KEY)).toBe('OK');
    expect(admin.calls).toHaveLength(1);
    const overHttp = async (key: string) =>
      (await fetch(`http://${http.address}/api/v1/bans?all=true`, { method: 'DELETE', headers: { 'x-api-key': key } }))
        .status;
    expect([await overHttp('guess'), await overHttp(ADMIN_KEY)]).toEqual([429, 200]);
    expect(http.log.lines.filter(({ event }) => event === 'client blocked: too many wrong admin keys')).toHaveLength(1);
    expect(http.metrics.count('teranode_p2p_wrong_admin_keys_total', { listener: 'grpc' })).toBe(30);
    expect(http.metrics.count('teranode_p2p_wrong_admin_keys_total', { listener: 'http' })).toBe(1);
  });

  test('with calls that need none are counted too, and the calls answered', async () => {
    const { address, metrics } = await serveGrpc();
    for (let i = 0; i < 12; i += 1) {
      expect((await rawCall(rawClient(address), peers.getPeers, {}, { keys: ['guess'] })).code).toBe('OK');
    }
    expect(metrics.count('teranode_p2p_wrong_admin_keys_total', { listener: 'grpc' })).toBe(12);
    expect(await guess(address, 'guess')).toBe('RESOURCE_EXHAUSTED');
  });
});

describe('streams', () => {
  /** file_containing_symbol = "p2p_api.PeerService" */
  const symbol = Buffer.from('p2p_api.PeerService');
  const request = Buffer.concat([Buffer.from([0, 0, 0, 0, symbol.length + 2, 0x22, symbol.length]), symbol]);

  test('of reflection whose answers nobody reads are bounded in bytes, and end', async () => {
    const { address, metrics } = await serveGrpc({ streamDeadlineMs: 1000 });
    const unread = () => metrics.gaugeValue('teranode_p2p_grpc_unread_bytes');
    let mostBytes = 0;
    const watching = setInterval(() => {
      mostBytes = Math.max(mostBytes, unread());
    }, 5);
    for (let i = 0; i < 5; i += 1) {
      const session = deaf(address);
      for (let each = 0; each < 20; each += 1) begin(session, REFLECTION, Buffer.concat(Array(1500).fill(request)));
    }
    await waitFor(() => mostBytes > 0, { what: 'the first answers' });
    await waitFor(() => sessions.every(({ destroyed }) => destroyed) || unread() === 0, {
      timeoutMs: 20_000,
      what: 'the end of the streams',
    }).finally(() => clearInterval(watching));
    expect(mostBytes).toBeLessThan(128 * MIB);
  });

  test('of reflection have a deadline', async () => {
    const { address } = await serveGrpc({ streamDeadlineMs: 300 });
    const stream = begin(deafNot(address), REFLECTION, request);
    const ended = Promise.withResolvers<unknown>();
    stream.on('trailers', (headers) => ended.resolve(headers['grpc-status'])).resume();
    expect(await ended.promise).toBe('4');
  });

  test('of health have none, because they wait for changes', async () => {
    const { address, server, admin } = await serveGrpc({ streamDeadlineMs: 50, deadlineMs: 50 });
    const stream = begin(deafNot(address), '/grpc.health.v1.Health/Watch', EMPTY_FRAME);
    stream.end();
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await waitFor(() => bytes === 7, { what: 'the first status' });
    admin.gate = new Promise(() => {});
    const late = await rawCall(rawClient(address), peers.clearBanned, {}, { keys: [ADMIN_KEY] });
    expect(late.code).toBe('DEADLINE_EXCEEDED');
    server.setServing(true);
    await waitFor(() => bytes === 14, { what: 'the change' });
  });
});
