// gRPC when something goes wrong: errors of the server, deadlines, callers that go away, stop
// with an open call.
import { connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2';
import { createConnection } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { PeerService } from '../../src/gen/p2p_api_pb.js';
import { P2PError } from '../../src/lib/errors.ts';
import {
  ADMIN_KEY,
  CHANGES,
  READINGS,
  rawCall,
  rawClient,
  serveGrpc,
  startRawCall,
  stopGrpcAfterEach,
} from '../support/grpc.ts';
import { waitFor } from '../support/wait.ts';

stopGrpcAfterEach();

const peers = PeerService.method;

describe('errors in the server', () => {
  test('an unexpected error answers INTERNAL, and only the log has its cause', async () => {
    const { address, admin, log } = await serveGrpc();
    admin.failure = new TypeError('secret of the house');
    for (const [method, fields] of [...CHANGES, ...READINGS]) {
      const { code, details } = await rawCall(rawClient(address), method, fields, { keys: [ADMIN_KEY] });
      expect([method.name, code]).toEqual([method.name, 'INTERNAL']);
      expect(details).not.toContain('secret');
      expect(details).not.toContain('.ts');
    }
    const lines = log.lines.filter(({ level }) => level === 'error');
    expect(lines).toHaveLength(CHANGES.length + READINGS.length);
    expect(lines[0]).toMatchObject({ event: 'gRPC call failed', fields: { method: 'BanPeer', err: admin.failure } });
  });

  test('an expected error answers a code that says whether to retry', async () => {
    const { address, admin } = await serveGrpc();
    const code = async (failure: P2PError) => {
      admin.failure = failure;
      return await rawCall(rawClient(address), peers.banPeer, { addr: '192.0.2.1' }, { keys: [ADMIN_KEY] });
    };
    expect(await code(new P2PError('STORE_UNAVAILABLE', 'the store is away'))).toMatchObject({
      code: 'UNAVAILABLE',
      details: 'the store is away',
    });
    expect((await code(new P2PError('TIMEOUT', 'late'))).code).toBe('DEADLINE_EXCEEDED');
    expect((await code(new P2PError('STORE_FAILED', 'table bans is gone'))).code).toBe('INTERNAL');
  });

  test('error texts that no header can carry do not end the process', async () => {
    const { address, admin } = await serveGrpc();
    admin.failure = new P2PError('INPUT_INVALID', `broken \ud800 ${'ü'.repeat(5000)}\r\nx-evil: 1`);
    const { code, details } = await rawCall(rawClient(address), peers.listBanned, {});
    expect(code).toBe('INVALID_ARGUMENT');
    expect(details).toContain('broken \ufffd');
    expect(details.length).toBeLessThanOrEqual(1024);
  });

  test('a call ends with the deadline of the server or of the caller', async () => {
    const { address, admin, metrics } = await serveGrpc({ deadlineMs: 50 });
    admin.gate = new Promise(() => {});
    const late = await rawCall(rawClient(address), peers.clearBanned, {}, { keys: [ADMIN_KEY] });
    expect(late).toMatchObject({ code: 'DEADLINE_EXCEEDED', details: expect.stringContaining('50 ms') });
    const patient = await serveGrpc();
    const caller = rawClient(patient.address);
    // What is not connected within the caller's deadline is never sent.
    await rawCall(caller, peers.listBanned, {});
    patient.admin.gate = admin.gate;
    const soon = { keys: [ADMIN_KEY], deadlineMs: 1000 };
    expect((await rawCall(caller, peers.clearBanned, {}, soon)).code).toBe('DEADLINE_EXCEEDED');
    const counted = { method: 'p2p_api.PeerService/ClearBanned', code: 'DEADLINE_EXCEEDED' };
    expect(metrics.count('teranode_p2p_grpc_requests_total', counted)).toBe(1);
    const { method } = counted;
    await waitFor(() => patient.metrics.count('teranode_p2p_grpc_requests_total', { method }) === 1, {
      what: 'the count',
    });
  });

  test('a call that its caller cancels is counted as cancelled', async () => {
    const { address, admin, metrics } = await serveGrpc();
    admin.gate = new Promise(() => {});
    const { call, answer } = startRawCall(rawClient(address), peers.clearBanned, {}, { keys: [ADMIN_KEY] });
    await waitFor(() => admin.calls.length === 1, { what: 'the call' });
    call.cancel();
    expect((await answer).code).toBe('CANCELLED');
    const counted = { method: 'p2p_api.PeerService/ClearBanned', code: 'CANCELLED' };
    await waitFor(() => metrics.count('teranode_p2p_grpc_requests_total', counted) === 1, { what: 'the count' });
  });

  test('each call is counted once, with its outcome', async () => {
    const { address, metrics } = await serveGrpc();
    const asked = rawClient(address);
    await rawCall(asked, peers.listBanned, {});
    await rawCall(asked, peers.banPeer, { addr: '' });
    await rawCall(asked, peers.banPeer, { addr: '' }, { keys: [ADMIN_KEY] });
    const count = (method: string, code: string) =>
      metrics.count('teranode_p2p_grpc_requests_total', { method: `p2p_api.PeerService/${method}`, code });
    expect([
      count('ListBanned', 'OK'),
      count('BanPeer', 'UNAUTHENTICATED'),
      count('BanPeer', 'INVALID_ARGUMENT'),
    ]).toEqual([1, 1, 1]);
    expect(metrics.count('teranode_p2p_grpc_requests_total')).toBe(3);
  });
});

describe('connections that are not gRPC', () => {
  /** Status of HTTP or gRPC, or the error of the stream. */
  const ask = async (address: string, headers: OutgoingHttpHeaders, body: Buffer) => {
    const session = connectHttp2(`http://${address}`).on('error', () => {});
    const answer = await new Promise<string>((resolve) => {
      const stream = session.request({
        ':method': 'POST',
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      });
      stream.on('response', (got) => resolve(`${got[':status']} ${got['grpc-status'] ?? ''}`));
      stream.on('error', (error) => resolve(error.message));
      stream.end(body);
    });
    session.destroy();
    return answer;
  };
  const framed = (bytes: Buffer, isCompressed = false) => {
    const head = Buffer.alloc(5);
    head.writeUInt8(isCompressed ? 1 : 0, 0);
    head.writeUInt32BE(bytes.length, 1);
    return Buffer.concat([head, bytes]);
  };
  const path = '/p2p_api.PeerService/ListBanned';

  test.each([
    ['another content type', { ':path': path, 'content-type': 'text/html' }, Buffer.alloc(0), '415 '],
    ['a method that is none', { ':path': '/a/\u00e9' }, framed(Buffer.alloc(0)), '200 12'],
    ['a deadline that is none', { ':path': path, 'grpc-timeout': 'never' }, framed(Buffer.alloc(0)), '200 13'],
    ['no message', { ':path': path }, Buffer.alloc(0), '200 12'],
    ['two messages', { ':path': path }, Buffer.concat([framed(Buffer.alloc(0)), framed(Buffer.alloc(0))]), '200 12'],
    ['an unknown compression', { ':path': path, 'grpc-encoding': 'rot13' }, framed(Buffer.alloc(9), true), '200 12'],
    ['gzip that is none', { ':path': path, 'grpc-encoding': 'gzip' }, framed(Buffer.alloc(9), true), '200 13'],
    [
      'a bomb of gzip',
      { ':path': path, 'grpc-encoding': 'gzip' },
      framed(gzipSync(Buffer.alloc(32 * 1024 * 1024)), true),
      '200 8',
    ],
  ] as const)('%s', async (_what, headers, body, expected) => {
    const { address } = await serveGrpc();
    expect(await ask(address, headers, body)).toBe(expected);
    expect((await rawCall(rawClient(address), peers.listBanned, {})).code).toBe('OK');
  });

  test('bytes that are not HTTP/2 end the connection', async () => {
    const { address } = await serveGrpc();
    const port = Number(address.slice(address.lastIndexOf(':') + 1));
    const socket = createConnection({ host: '127.0.0.1', port }).on('error', () => {});
    socket.end('GET / HTTP/1.1\r\n\r\n').resume();
    await waitFor(() => socket.destroyed, { what: 'the end of the connection' });
    expect((await rawCall(rawClient(address), peers.listBanned, {})).code).toBe('OK');
  });
});

describe('listening and stopping', () => {
  test('stop waits for a call that finishes in time, ends one that does not, and may be called twice', async () => {
    const { address, server, admin } = await serveGrpc();
    const opened = Promise.withResolvers<void>();
    admin.gate = opened.promise;
    const ending = startRawCall(rawClient(address), peers.clearBanned, {}, { keys: [ADMIN_KEY] }).answer;
    await waitFor(() => admin.calls.length === 1, { what: 'the first call' });
    const both = [server.stop(), server.stop()];
    opened.resolve();
    expect((await ending).code).toBe('OK');
    await Promise.all(both);

    const hanging = await serveGrpc();
    hanging.admin.gate = new Promise(() => {});
    const cut = startRawCall(rawClient(hanging.address), peers.clearBanned, {}, { keys: [ADMIN_KEY] }).answer;
    await waitFor(() => hanging.admin.calls.length === 1, { what: 'the second call' });
    const startedMs = performance.now();
    await hanging.server.stop();
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect((await cut).code).not.toBe('OK');
    await hanging.server.stop();
    expect(hanging.server.address()).toBeUndefined();
  });

  test('a port in use is an error with a code; a server that never started can be stopped', async () => {
    const { address } = await serveGrpc();
    await expect(serveGrpc({ listenAddress: address })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringContaining(address),
    });
  });

  test('a bare port means all interfaces', async () => {
    const { address } = await serveGrpc({ listenAddress: ':0' });
    expect(address).toMatch(/^(\[::\]|0\.0\.0\.0):\d+$/);
    const asked = rawClient(`127.0.0.1:${address.slice(address.lastIndexOf(':') + 1)}`);
    expect((await rawCall(asked, peers.listBanned, {})).code).toBe('OK');
  });
});
