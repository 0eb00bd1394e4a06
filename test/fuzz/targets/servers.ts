// Servers of ours, started on loopback, and a client of ours against a server that answers anything. Whatever is sent,
// a proper request is answered afterwards, and no connection, stream or place is left taken.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { HttpDataHubClient } from '../../../src/adapters/datahub/datahub-client.ts';
import { GrpcServer } from '../../../src/adapters/grpc/grpc-server.ts';
import { HttpServer } from '../../../src/adapters/http/server/http-server.ts';
import { AdminKeys } from '../../../src/adapters/listeners/admin-keys.ts';
import { methodDefinition } from '../../../src/adapters/rpc/service-definition.ts';
import type { BlockHash, SubtreeHash } from '../../../src/domain/ids.ts';
import { systemClock } from '../../../src/ports/clock.ts';
import { EventLog } from '../../../src/watch/event-log.ts';
import { hashHeader } from '../../../src/wire/header.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { FakeAdminApi } from '../../fakes/admin-api.ts';
import { FakeNotifications } from '../../fakes/notifications.ts';
import { CHANGES, NO_TLS, READINGS } from '../../support/grpc.ts';
import { ADMIN_KEY, BASE_URL, block, OWN_ID, OWN_STATUS } from '../../support/http.ts';
import { waitFor } from '../../support/wait.ts';
import { frameBytes, RawWebSocket, upgradeText } from '../../support/websocket.ts';
import { type FuzzSession, must, mustEqual, type SessionTarget, texts } from '../engine/target.ts';
import { failingLogger, gauges } from './parts.ts';

/** How long a client waits for more of an answer, and for the first of one that must come. */
const MORE_MS = 200;
const FIRST_MS = 20_000;

async function startHttp() {
  const metrics = gauges();
  const log = failingLogger();
  const notifications = new FakeNotifications();
  const events = new EventLog(
    { stream: notifications, metrics, epoch: 'epoch1' },
    { maxEvents: 100, maxBytes: 65_536 },
  );
  const server = new HttpServer(
    {
      log,
      metrics,
      clock: systemClock,
      sources: {
        health: async () => ({ status: 200, message: 'OK', checks: [] }),
        scrape: async () => ({ contentType: 'text/plain', body: 'a_metric 1\n' }),
      },
      api: {
        admin: new FakeAdminApi(),
        adminKeys: new AdminKeys({ log, metrics, clock: systemClock }, { adminKey: ADMIN_KEY }),
        version: '0.1.0',
      },
      events,
      webSocket: {
        notifications,
        ownStatus: () => OWN_STATUS,
        identity: () => ({ baseUrl: BASE_URL, peerId: OWN_ID }),
      },
    },
    { listenAddress: '127.0.0.1:0', tls: undefined, routes: 'full' },
  );
  await server.start();
  const address = server.address() ?? '';
  const check = async () => {
    const health = await fetch(`http://${address}/health`);
    mustEqual([health.status, await health.text()], [200, 'OK'], 'health');
    const socket = await RawWebSocket.open(address);
    await waitFor(() => socket.frames.length > 0, { what: 'a first frame' });
    notifications.publish(block(1));
    await waitFor(() => socket.messages('block').length > 0, { what: 'a notification' });
    socket.socket.destroy();
    await waitFor(() => metrics.value('teranode_p2p_ws_clients') === 0, { what: 'the end of all WebSockets' });
  };
  return { address, check, close: () => server.stop() };
}

/**
 * Sends the bytes, in two pieces, and reads until the server closes, the answer is whole, or no more comes for a moment.
 * Resolves with what came; `mustCome`: that is something.
 */
async function exchange(
  address: string,
  bytes: Uint8Array,
  isDone: (answer: Buffer) => boolean,
  mustCome = false,
): Promise<Buffer> {
  const [host, port] = address.split(':');
  const socket = connect({ host: host ?? '', port: Number(port), noDelay: true });
  const chunks: Buffer[] = [];
  const ended = Promise.withResolvers<void>();
  let late = setTimeout(() => ended.resolve(), mustCome ? FIRST_MS : MORE_MS);
  socket.on('error', () => ended.resolve());
  socket.on('close', () => ended.resolve());
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    clearTimeout(late);
    late = setTimeout(() => ended.resolve(), MORE_MS);
    if (isDone(Buffer.concat(chunks))) ended.resolve();
  });
  const half = Math.floor(bytes.length / 2);
  socket.write(bytes.subarray(0, half));
  socket.write(bytes.subarray(half));
  await ended.promise;
  clearTimeout(late);
  socket.resetAndDestroy();
  return Buffer.concat(chunks);
}

async function httpSession(): Promise<FuzzSession> {
  const { address, check, close } = await startHttp();
  const send = async (input: Uint8Array) => {
    const answer = (await exchange(address, input, (each) => each.includes('\r\n\r\n'))).toString('latin1');
    if (answer === '') return;
    const code = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
    must(code >= 100 && code < 600, `it answers ${answer.slice(0, 100)}`);
    // 503 is said of what is not there; anything else of ours would be a handler that threw.
    must(code < 500 || code === 503 || code === 505 || code === 501, `status ${code}: ${answer.slice(-300)}`);
  };
  return { send, check, close };
}

/** A proper upgrade, then the input as it is: frames, or what is none. */
async function webSocketSession(): Promise<FuzzSession> {
  const { address, check, close } = await startHttp();
  const send = async (input: Uint8Array) => {
    const bytes = Buffer.concat([Buffer.from(upgradeText(address)), input]);
    const answer = await exchange(address, bytes, hasClose, true);
    must(answer.subarray(0, 12).toString() === 'HTTP/1.1 101', `the upgrade is answered ${answer.subarray(0, 40)}`);
  };
  return { send, check, close };
}

/** A close frame of the server. */
function hasClose(answer: Buffer): boolean {
  const at = answer.indexOf(0x88, answer.indexOf('\r\n\r\n'));
  return at >= 0 && (answer[at + 1] ?? 0) < 126;
}

async function startGrpc() {
  const metrics = gauges();
  const log = failingLogger();
  const adminKeys = new AdminKeys({ log, metrics, clock: systemClock }, { adminKey: ADMIN_KEY });
  const server = new GrpcServer(
    { admin: new FakeAdminApi(), adminKeys, metrics, log },
    { listenAddress: '127.0.0.1:0', tls: NO_TLS },
  );
  await server.start();
  const address = server.address() ?? '';
  const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const call = (method: (typeof METHODS)[number], bytes: Buffer): Promise<{ code: status; details: string }> => {
    const { path } = methodDefinition(method);
    const metadata = new Metadata();
    metadata.set('x-api-key', ADMIN_KEY);
    const asIs = (each: Buffer) => each;
    return new Promise((resolve) => {
      client.makeUnaryRequest(path, asIs, asIs, bytes, metadata, { deadline: Date.now() + 20_000 }, (error) =>
        resolve({ code: error?.code ?? status.OK, details: error?.details ?? '' }),
      );
    });
  };
  const check = async () => {
    const [method] = READINGS[0];
    mustEqual((await call(method, Buffer.alloc(0))).code, status.OK, 'a proper call');
  };
  const close = async () => {
    client.close();
    await server.stop();
  };
  return { address, call, check, close };
}

const METHODS = [...CHANGES, ...READINGS].map(([method]) => method);
const GRPC_SEEDS = [...CHANGES, ...READINGS].map(([method, fields], i) => {
  const request = create(method.input as DescMessage, fields as MessageInitShape<DescMessage>);
  return Buffer.concat([Buffer.of(i), toBinary(method.input as DescMessage, request)]);
});

/** The first byte says which method; the rest is the request. */
async function grpcSession(): Promise<FuzzSession> {
  const { call, check, close } = await startGrpc();
  const send = async (input: Uint8Array) => {
    const method = METHODS[(input[0] ?? 0) % METHODS.length];
    if (method === undefined) return;
    const { code, details } = await call(method, Buffer.from(input.subarray(1)));
    const isOurs = code !== status.INTERNAL && code !== status.UNKNOWN && code !== status.DEADLINE_EXCEEDED;
    must(isOurs, `${method.name} answers ${status[code]}: ${details}`);
  };
  return { send, check, close };
}

/** HTTP/2 from its first byte. */
async function http2Session(): Promise<FuzzSession> {
  const { address, check, close } = await startGrpc();
  const send = async (input: Uint8Array) => void (await exchange(address, input, () => false));
  return { send, check, close };
}

const GENESIS = NETWORKS.mainnet.genesisHeader;
const GENESIS_HASH = hashHeader(GENESIS);

/** Our client of DataHubs; the input is all that the other server sends. */
async function dataHubSession(): Promise<FuzzSession> {
  const answers: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.once('data', () => socket.end(answers.shift() ?? ''));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const url = `http://127.0.0.1:${port}/api/v1`;
  const client = new HttpDataHubClient({}, { allowsPrivate: true, userAgent: 'fuzz', deadlineMs: 2000 });
  const { signal } = new AbortController();
  const ask = async (kind: number) => {
    const locator = [GENESIS_HASH];
    if (kind === 0) return await client.bestHeader(url, signal);
    if (kind === 1) return await client.headersBack(url, GENESIS_HASH, 10, signal);
    if (kind === 2) return await client.headersFromAncestor(url, GENESIS_HASH, locator, 10, signal);
    if (kind === 3) return await client.block(url, GENESIS_HASH, 4096, signal);
    if (kind === 4) return await client.subtree(url, GENESIS_HASH as string as SubtreeHash, 4096, signal);
    return await client.header(url, GENESIS_HASH as BlockHash, signal);
  };
  return {
    send: async (input) => {
      answers.push(Buffer.from(input.subarray(1)));
      const answer = await ask((input[0] ?? 0) % 6);
      if (!answer.ok) return must(answer.details.length <= 200, 'long details');
      must(answer.value !== undefined, 'an answer without a value');
    },
    check: async () => {
      answers.length = 0;
      answers.push(ok(GENESIS));
      const answer = await client.bestHeader(url, signal);
      must(answer.ok && answer.value.hash === GENESIS_HASH, 'a proper answer is refused');
      await waitFor(() => sockets.size === 0, { what: 'the end of all connections' });
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function ok(body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${body.byteLength}\r\n\r\n`), body]);
}

function requests(): string[] {
  const paths = ['/health', '/health/ready', '/api/v1/peers?limit=5', '/api/v1/bans', '/api/v1/history?hours=1'];
  const more = [
    '/api/v1/events?types=block&since=epoch1-3',
    '/p2p-ws',
    '/metrics',
    '/api/v1/chain/headers',
    '/openapi.json',
  ];
  const gets = [...paths, ...more].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n`);
  const body = '{"subject":"192.0.2.1","reason":"spam"}';
  const post = `POST /api/v1/bans HTTP/1.1\r\nHost: a\r\nx-api-key: ${ADMIN_KEY}\r\ncontent-type: application/json\r\n`;
  return [
    ...gets,
    `${post}content-length: ${body.length}\r\n\r\n${body}`,
    `${post}transfer-encoding: chunked\r\n\r\n5\r\n{"sub\r\n0\r\n\r\n`,
    `DELETE /api/v1/bans/192.0.2.1 HTTP/1.1\r\nHost: a\r\nx-api-key: ${ADMIN_KEY}\r\n\r\n`,
    upgradeText('a'),
    upgradeText('a', { path: '/p2p-ws?types=block,lost&since=epoch1-1' }),
  ];
}

/** Frames of a client: each kind, with a length of each form, masked and not, whole and in parts. */
function frames(): Uint8Array[] {
  return [
    ...[0, 1, 2, 3, 8, 9, 10, 11].map((opcode) => frameBytes({ opcode, payload: Buffer.from('hello') })),
    frameBytes({ opcode: 1, payload: Buffer.alloc(126, 'x') }),
    frameBytes({ opcode: 1, payload: Buffer.alloc(66_000, 'x') }),
    frameBytes({ opcode: 8, payload: Buffer.of(0x03, 0xe8) }),
    frameBytes({ opcode: 1, isMasked: false, reservedBits: 4, payload: Buffer.from('a') }),
    Buffer.concat([
      frameBytes({ opcode: 1, isFinal: false, payload: Buffer.from('a') }),
      frameBytes({ opcode: 9 }),
      frameBytes({ opcode: 0, payload: Buffer.from('b') }),
    ]),
  ];
}

/** The preface, an empty SETTINGS frame, and frames with headers of a call. */
const HTTP2 = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
const HTTP2_FRAMES = [
  '',
  '000008060000000000' + '0011223344556677',
  '00000a010500000001' + '828684418a089d5c0b81',
  '000004080000000000' + '00010000',
  '000005000100000001' + '0000000000',
  '000004030000000001' + '00000008',
  '000006040000000000' + '000300000064',
  '00000807000000000000000000' + '00000000',
].map((hex) => Buffer.concat([HTTP2, Buffer.from(hex, 'hex')]));

export const SERVER_TARGETS: readonly SessionTarget[] = [
  {
    name: 'http-server',
    seeds: texts(...requests()),
    words: [
      '\r\n\r\n',
      'Host: ',
      'transfer-encoding: chunked',
      'content-length: ',
      'upgrade: websocket',
      'expect: ',
      '/api/v1/',
    ],
    maxBytes: 4096,
    inputsPerHundred: 2,
    open: httpSession,
  },
  { name: 'websocket-server', seeds: frames(), maxBytes: 70_000, inputsPerHundred: 1, open: webSocketSession },
  { name: 'grpc-requests', seeds: GRPC_SEEDS, maxBytes: 2048, inputsPerHundred: 2, open: grpcSession },
  { name: 'grpc-http2', seeds: HTTP2_FRAMES, maxBytes: 4096, inputsPerHundred: 0.5, open: http2Session },
  {
    name: 'datahub-answers',
    seeds: [
      ...[0, 1, 2, 3, 5].map((kind) => Buffer.concat([Buffer.of(kind), ok(GENESIS)])),
      Buffer.concat([Buffer.of(4), ok(new Uint8Array(64))]),
      ...texts(
        '\0HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\n\r\n',
        '\x01HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n50\r\nx\r\n0\r\n\r\n',
        '\x03HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n',
      ),
    ],
    words: [
      'HTTP/1.1 ',
      '\r\n\r\n',
      'content-length: ',
      'location: http://',
      'transfer-encoding: chunked',
      '301',
      '100',
    ],
    maxBytes: 4096,
    inputsPerHundred: 2,
    open: dataHubSession,
  },
];
