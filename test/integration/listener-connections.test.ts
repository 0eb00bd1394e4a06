// Connections of one address that hold the listeners of gRPC and HTTP open: others, the operator and health checks are
// served meanwhile. Over real sockets; every test has its addresses in 127.0.0.0/8.

import { request } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { PeerService } from '../../src/gen/p2p_api_pb.js';
import { ADMIN_KEY, rawCall, rawClient, serveGrpc, stopGrpcAfterEach } from '../support/grpc.ts';
import { serveHttp, stopHttpAfterEach } from '../support/http.ts';
import { waitFor } from '../support/wait.ts';
import { dialSocket, RawWebSocket } from '../support/websocket.ts';

stopGrpcAfterEach();
stopHttpAfterEach();

const ATTACKER = '127.0.0.66';
const sessions: ClientHttp2Session[] = [];
afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
});

/** An HTTP/2 connection from an address of ours, established. */
async function http2From(localAddress: string, address: string): Promise<ClientHttp2Session> {
  const { hostname, port } = new URL(`http://${address}`);
  const createConnection = () => connect({ host: hostname, port: Number(port), localAddress });
  const session = connectHttp2(`http://${address}`, { createConnection }).on('error', () => {});
  sessions.push(session);
  await new Promise<void>((resolve) => {
    session.once('remoteSettings', () => resolve());
    session.once('close', () => resolve());
  });
  return session;
}

function call(session: ClientHttp2Session, path: string): ClientHttp2Stream {
  const headers = { ':method': 'POST', ':path': path, te: 'trailers', 'content-type': 'application/grpc' };
  const stream = session.request(headers).on('error', () => {});
  stream.resume().end(Buffer.alloc(5));
  return stream;
}

/** Opens a call that stays open, and waits until it is answered or refused. */
async function watch(session: ClientHttp2Session): Promise<void> {
  if (session.destroyed) return;
  const stream = call(session, '/grpc.health.v1.Health/Watch');
  await new Promise<void>((resolve) => {
    stream.once('response', () => resolve());
    stream.once('close', () => resolve());
  });
}

async function inTens<T>(count: number, make: () => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  while (made.length < count) made.push(...(await Promise.all(Array.from({ length: 10 }, make))));
  return made;
}

const ask = async (address: string, keys: string[] = []) =>
  (await rawCall(rawClient(address), PeerService.method.getPeers, {}, { keys })).code;

describe('gRPC', () => {
  test('300 idle HTTP/2 connections of one address lock nobody out, and are counted', async () => {
    const { address, metrics } = await serveGrpc();
    await inTens(300, () => http2From(ATTACKER, address));
    expect(await ask(address)).toBe('OK');
    expect(metrics.gaugeValue('teranode_p2p_grpc_connections')).toBeLessThan(100);
    expect(metrics.count('teranode_p2p_grpc_connections_refused_total')).toBeGreaterThanOrEqual(200);
    // Not the address itself either: its own quiet connections make room.
    const own = await http2From(ATTACKER, address);
    expect(own.destroyed).toBe(false);
  });

  test('300 connections of one address with an open stream each lock neither others nor the operator out', async () => {
    const { address, metrics } = await serveGrpc();
    await inTens(300, async () => await watch(await http2From('127.0.0.1', address)));
    expect(metrics.gaugeValue('teranode_p2p_grpc_connections')).toBeLessThan(100);
    expect(metrics.count('teranode_p2p_grpc_connections_refused_total')).toBeGreaterThanOrEqual(200);
    // The operator at the same address has the key; others there have to wait.
    expect(await ask(address, [ADMIN_KEY])).toBe('OK');
    expect(await ask(address)).toBe('RESOURCE_EXHAUSTED');
    const other = await http2From(ATTACKER, address);
    const stream = call(other, '/p2p_api.PeerService/GetPeers');
    await waitFor(() => stream.readableEnded, { what: 'the answer to another address' });
  });
});

test('health checks of gRPC without a message do not take the reserve', async () => {
  const { address } = await serveGrpc();
  await inTens(70, async () => await watch(await http2From(ATTACKER, address)));
  const begun = await inTens(30, async () => {
    const session = await http2From(ATTACKER, address);
    const path = '/grpc.health.v1.Health/Check';
    if (!session.destroyed)
      session
        .request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' }, { endStream: false })
        .on('error', () => {});
    return session;
  });
  await waitFor(() => begun.filter(({ destroyed }) => destroyed).length >= 14, { what: 'their end' });
  const probe = await http2From(ATTACKER, address);
  const stream = call(probe, '/grpc.health.v1.Health/Check');
  await waitFor(() => stream.readableEnded, { what: 'the answer' });
  await waitFor(() => begun.every(({ destroyed }) => destroyed), { what: 'the end of the rest' });
});

test('connections that are silent, or begin and ask nothing, end in seconds on every listener', async () => {
  const grpc = await serveGrpc();
  const http = await serveHttp();
  const silent = await Promise.all([dialSocket(grpc.address), dialSocket(http.address)]);
  const begun = await dialSocket(http.address);
  begun.write('GET /health HTTP/1.1\r\n');
  const preface = await http2From('127.0.0.1', grpc.address);
  for (const socket of [...silent, begun]) socket.resume();
  const asking = rawClient(grpc.address);
  await rawCall(asking, PeerService.method.getPeers, {});
  const isOver = (socket: Socket) => socket.destroyed || socket.readableEnded;
  await waitFor(() => [...silent, begun].every(isOver) && preface.destroyed, { timeoutMs: 30_000, what: 'their end' });
  const refused = grpc.metrics.count('teranode_p2p_grpc_connections_refused_total', { reason: 'silent' });
  expect(refused).toBe(2);
  // One that has asked stays.
  expect(grpc.metrics.gaugeValue('teranode_p2p_grpc_connections')).toBe(1);
});

describe('HTTP', () => {
  const SMALL = { webSocket: { maxClients: 10, bufferFrames: 100 }, maxPlainConnections: 100 };
  const OF_ADDRESS = 10 + 25;

  const status = (address: string, path: string, localAddress: string, key?: string) =>
    new Promise<number>((resolve, reject) => {
      const { hostname, port } = new URL(`http://${address}`);
      const headers = key === undefined ? {} : { 'x-api-key': key };
      request({ host: hostname, port, path, localAddress, headers, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });

  test('many connections of one address, kept alive with requests, lock nobody out', async () => {
    const { address, metrics } = await serveHttp(SMALL);
    const sockets = await inTens(300, async () => {
      const socket = await dialSocket(address, undefined, ATTACKER);
      socket.resume().write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
      return socket;
    });
    for (const from of ['127.0.0.1', ATTACKER]) {
      for (const path of ['/health/live', '/api/v1/peers']) {
        expect([from, path, await status(address, path, from)]).toEqual([from, path, 200]);
      }
    }
    expect(sockets.filter(({ destroyed }) => !destroyed).length).toBeLessThanOrEqual(OF_ADDRESS);
    expect(metrics.count('teranode_p2p_http_connections_refused_total')).toBeGreaterThanOrEqual(200);
  });

  test('an address whose share is busy gets health checks, the admin key opens all, others are served', async () => {
    const { address, view } = await serveHttp(SMALL);
    view.gate = new Promise(() => undefined);
    for (let busy = 0; busy < OF_ADDRESS; busy += 1) {
      const socket = await dialSocket(address, undefined, ATTACKER);
      socket.resume().write(`DELETE /api/v1/bans?all=true HTTP/1.1\r\nHost: a\r\nx-api-key: ${ADMIN_KEY}\r\n\r\n`);
      await waitFor(() => view.calls.length > busy, { what: 'the request' });
    }
    for (const path of ['/health', '/health/live', '/health/ready']) {
      expect([path, await status(address, path, ATTACKER)]).toEqual([path, 200]);
    }
    for (const path of ['/api/v1/peers', '/metrics', '/nothing']) {
      expect([path, await status(address, path, ATTACKER)]).toEqual([path, 503]);
    }
    await expect(RawWebSocket.open(address, { from: ATTACKER })).rejects.toThrow(/503/);
    expect(await status(address, '/api/v1/peers', ATTACKER, ADMIN_KEY)).toBe(200);
    expect(await status(address, '/api/v1/peers', '127.0.0.1')).toBe(200);
  });
});
