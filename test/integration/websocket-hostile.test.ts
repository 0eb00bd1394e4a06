// Misbehaving clients of `/p2p-ws` harm only themselves: another client gets every frame in order and without a gap.
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OWN_STATUS, type ServedHttp, serveHttp, stopHttpAfterEach, subtree } from '../support/http.ts';
import { waitFor } from '../support/wait.ts';
import {
  answerOn,
  ask,
  BINARY,
  CONTINUATION,
  dialSocket,
  frameBytes,
  frameHead,
  PING,
  PONG,
  RawWebSocket,
  TEXT,
  upgradeText,
} from '../support/websocket.ts';

const MANY = 1000;
const MIB = 1024 * 1024;

let served: ServedHttp;
let witness: RawWebSocket;
let published = 0;
let publishing: NodeJS.Timeout;

beforeEach(async () => {
  served = await serveHttp({ ratePerSecond: 50 });
  witness = await RawWebSocket.open(served.address);
  published = 0;
  publishing = setInterval(() => {
    served.notifications.publish(subtree(published));
    published += 1;
  }, 5);
});

stopHttpAfterEach();

afterEach(async () => {
  clearInterval(publishing);
  const last = published + 1;
  served.notifications.publish(subtree(published));
  const seen = await witness.received(last, 'subtree');
  expect(seen.map(({ hash }) => Number.parseInt(String(hash), 16))).toEqual(Array.from({ length: last }, (_e, i) => i));
  expect((await fetch(`http://${served.address}/health`)).status).toBe(200);
  expect(served.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

describe('requests that are not a valid upgrade', () => {
  test('answers 426 to a thousand plain GETs', async () => {
    const socket = await dialSocket(served.address);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    for (let i = 0; i < MANY; i += 1) socket.write('GET /p2p-ws HTTP/1.1\r\nHost: a\r\n\r\n');
    await waitFor(() => text.split('HTTP/1.1 426 Upgrade Required').length === MANY + 1, { what: 'all answers' });
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => ask(served.address, 'GET /p2p-ws HTTP/1.1\r\nHost: a\r\n\r\n')),
    );
    for (const answer of answers) {
      expect([answer.status, answer.headers.upgrade]).toEqual([426, 'websocket']);
      expect(JSON.parse(answer.body).code).toBe('UPGRADE_REQUIRED');
    }
  });

  test('closes a thousand incomplete upgrades after their deadline', async () => {
    const half = upgradeText(served.address).slice(0, -20);
    const sockets = await Promise.all(Array.from({ length: MANY }, () => dialSocket(served.address)));
    for (const socket of sockets) socket.write(half);
    // Others are served meanwhile.
    expect((await RawWebSocket.open(served.address)).answer.status).toBe(101);
    const answers = await Promise.all(sockets.map(answerOn));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([408]));
  }, 60_000);

  test.each([
    ['without a key', { 'Sec-WebSocket-Key': undefined }, 400],
    ['with a short key', { 'Sec-WebSocket-Key': 'abc' }, 400],
    ['with a key that is no base64', { 'Sec-WebSocket-Key': '!'.repeat(24) }, 400],
    ['of another version', { 'Sec-WebSocket-Version': '8' }, 426],
    ['without a version', { 'Sec-WebSocket-Version': undefined }, 426],
    ['to another protocol', { Upgrade: 'h2c' }, 426],
    ['without Connection', { Connection: undefined }, 426],
  ])('refuses an upgrade %s', async (_what, headers, status) => {
    const answer = await ask(served.address, upgradeText(served.address, { headers }));
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/) });
  });

  test('refuses an upgrade in HTTP/1.0 or by POST', async () => {
    const old = upgradeText(served.address, { httpVersion: '1.0' });
    expect((await ask(served.address, old)).status).toBe(400);
    expect((await ask(served.address, old.replace('GET', 'POST').replace('1.0', '1.1'))).status).toBe(404);
  });

  test('answers offers of HTTP/2, as sent by Java and curl, like ordinary requests', async () => {
    const text = upgradeText(served.address, { path: '/health', headers: { Upgrade: 'h2c' } });
    const answer = await ask(served.address, text);
    expect([answer.status, answer.body]).toEqual([200, 'OK']);
    const webSocket = await ask(served.address, upgradeText(served.address, { path: '/health' }));
    expect([webSocket.status, webSocket.body]).toEqual([200, 'OK']);
  });

  /**
   * Sent in one piece with an upgrade behind them: the answer to the first still has the socket when the second is
   * read.
   */
  const IN_FRONT: readonly (readonly [string, string, number[]])[] = [
    ['a plain request', 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n', [200, 426]],
    ['one that is not found', 'GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n', [404, 426]],
    ['one that Node refuses by itself', 'GET /health HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n', [417, 426]],
    ['one that takes its time', 'GET /api/v1/sync HTTP/1.1\r\nHost: localhost\r\n\r\n', [200, 426]],
  ];

  test.each(IN_FRONT)('does not upgrade a request pipelined behind %s', async (_what, first, statuses) => {
    const socket = await dialSocket(served.address);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    const seen = () => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
    socket.write(first + upgradeText(served.address));
    await waitFor(() => seen().length === 2, { what: 'both answers' });
    expect(seen()).toEqual(statuses);
    // The connection is as good as any.
    socket.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
    await waitFor(() => seen().length === 3, { what: 'a further answer' });
    socket.write(upgradeText(served.address));
    await waitFor(() => seen().length === 4, { what: 'the upgrade' });
    expect(seen().slice(2)).toEqual([200, 101]);
    await waitFor(() => text.includes('"type":"node_status"'), { what: 'the first frame' });
  });

  test('a thousand pipelined upgrades leave no connections behind, and the server stops', async () => {
    const { address, metrics, server } = await serveHttp();
    const connections = () => metrics.gaugeValue('teranode_p2p_http_connections');
    const bytes = `GET /health HTTP/1.1\r\nHost: a\r\n\r\n${upgradeText(address)}`;
    for (let i = 0; i < MANY / 200; i += 1) {
      const sockets = await Promise.all(Array.from({ length: 200 }, () => dialSocket(address)));
      for (const socket of sockets) socket.write(bytes);
      await waitFor(() => sockets.every(({ bytesRead }) => bytesRead > 0), { what: 'answers' });
      for (const socket of sockets.slice(2)) socket.destroy();
    }
    await waitFor(() => connections() === 2 * (MANY / 200), { what: 'the end of those dropped' });
    const startMs = performance.now();
    await server.stop();
    expect(performance.now() - startMs).toBeLessThan(3000);
    await waitFor(() => connections() === 0, { what: 'the end of all' });
    expect(metrics.count('teranode_p2p_ws_upgrades_failed_total')).toBe(0);
  });

  test('cuts an upgrade that does not complete at its deadline, and on stop', async () => {
    const times = { statusMs: 3_600_000, upgradeMs: 200 };
    const { address, answers, metrics } = await serveHttp({ webSocket: { maxClients: 20, bufferFrames: 100, times } });
    answers.ownStatus = () => new Promise(() => undefined);
    await expect(ask(address, upgradeText(address))).rejects.toThrow('closed without an answer');
    expect(metrics.count('teranode_p2p_ws_upgrades_failed_total', { reason: 'timeout' })).toBe(1);
    await waitFor(() => metrics.gaugeValue('teranode_p2p_http_connections') === 0, { what: 'its end' });

    const patient = await serveHttp({
      webSocket: { maxClients: 20, bufferFrames: 100, times: { ...times, upgradeMs: 3_600_000 } },
    });
    let isAsked = false;
    patient.answers.ownStatus = () => {
      isAsked = true;
      return new Promise(() => undefined);
    };
    const asking = ask(patient.address, upgradeText(patient.address)).catch((error: unknown) => error);
    await waitFor(() => isAsked, { what: 'the upgrade' });
    await patient.server.stop();
    expect(await asking).toBeInstanceOf(Error);
    await waitFor(() => patient.metrics.gaugeValue('teranode_p2p_http_connections') === 0, { what: 'its end' });
  });

  test('connections cut during an upgrade free their slot', async () => {
    const gate = Promise.withResolvers<typeof OWN_STATUS>();
    const { address, answers, metrics } = await serveHttp({ webSocket: { maxClients: 20, bufferFrames: 100 } });
    answers.ownStatus = () => gate.promise;
    const sockets = await Promise.all(Array.from({ length: 20 }, () => dialSocket(address)));
    for (const socket of sockets) socket.write(upgradeText(address));
    await waitFor(async () => (await ask(address, upgradeText(address))).status === 503, { what: 'all places taken' });
    for (const socket of sockets) socket.resetAndDestroy();
    gate.resolve(OWN_STATUS);
    await waitFor(async () => (await ask(address, upgradeText(address))).status === 101, { what: 'a place' });
    await waitFor(() => metrics.gaugeValue('teranode_p2p_ws_clients') === 0, { what: 'no client' });
  });
});

describe('messages that clients must not send', () => {
  async function closedAfter(send: (client: RawWebSocket) => unknown): Promise<number> {
    const client = await RawWebSocket.open(served.address, { answersPings: false });
    await send(client);
    const { code } = await client.closed();
    await client.gone();
    return code;
  }

  async function countedAsClosed(reason: string, count: number): Promise<void> {
    const closed = () => served.metrics.count('teranode_p2p_ws_closed_total', { reason });
    await waitFor(() => closed() === count, { what: `${count} closed as ${reason}` });
  }

  test('closes the connection after the header of a 10 MB frame, whether its payload arrives or not', async () => {
    const head = frameHead(0x81, 10 * MIB, true);
    expect(await closedAfter((client) => client.socket.write(head))).toBe(1009);
    expect(await closedAfter((client) => client.send({ opcode: TEXT, payload: Buffer.alloc(10 * MIB, 'a') }))).toBe(
      1009,
    );
    expect(await closedAfter((client) => client.send({ opcode: BINARY, payload: Buffer.alloc(10 * MIB) }))).toBe(1009);
    await countedAsClosed('large', 3);
  });

  test('survives a hundred clients that send 10 MB each at once', async () => {
    const bytes = frameBytes({ opcode: TEXT, payload: Buffer.alloc(10 * MIB, 'a') });
    const clients = await Promise.all(Array.from({ length: 100 }, () => RawWebSocket.open(served.address)));
    for (const client of clients) client.socket.write(bytes);
    for (const client of clients) await client.gone(30_000);
    await waitFor(() => served.metrics.gaugeValue('teranode_p2p_ws_clients') === 1, { what: 'the witness alone' });
  }, 60_000);

  test('closes on a fragmented message that is too large or never ends', async () => {
    const large = (client: RawWebSocket) => {
      client.send({ opcode: TEXT, payload: Buffer.alloc(3000, 'a'), isFinal: false });
      client.send({ opcode: CONTINUATION, payload: Buffer.alloc(3000, 'a'), isFinal: false });
    };
    expect(await closedAfter(large)).toBe(1009);
    const endless = (client: RawWebSocket) => {
      client.send({ opcode: TEXT, isFinal: false });
      for (let i = 0; i < 1000; i += 1) client.send({ opcode: CONTINUATION, isFinal: false });
    };
    expect(await closedAfter(endless)).toBe(1008);
  });

  test.each([
    ['binary', { opcode: BINARY, payload: Buffer.from('a') }, 1003],
    ['text that is no UTF-8', { opcode: TEXT, payload: Buffer.from([0xc3, 0x28]) }, 1007],
    ['frames without a mask', { opcode: TEXT, payload: Buffer.from('a'), isMasked: false }, 1002],
    ['reserved bits', { opcode: TEXT, reservedBits: 4 }, 1002],
    ['an unknown opcode', { opcode: 5 }, 1002],
    ['a continuation of nothing', { opcode: CONTINUATION, payload: Buffer.from('a') }, 1002],
    ['a ping in fragments', { opcode: PING, isFinal: false }, 1002],
    ['a ping that is too long', { opcode: PING, payload: Buffer.alloc(126) }, 1002],
  ])('%s', async (_what, frame, code) => {
    expect(await closedAfter((client) => client.send(frame))).toBe(code);
    await countedAsClosed('odd', 1);
  });

  test('ignores a few text messages, but closes on a flood of texts, pings or pongs', async () => {
    const chatty = await RawWebSocket.open(served.address);
    for (let i = 0; i < 10; i += 1) chatty.send({ opcode: TEXT, payload: Buffer.from('{"type":"hello"}') });
    await chatty.received(20, 'subtree');
    expect(chatty.closing()).toBeUndefined();
    for (const opcode of [TEXT, PING, PONG]) {
      const flood = Buffer.concat(Array.from({ length: 100 }, () => frameBytes({ opcode })));
      expect(await closedAfter((client) => client.socket.write(flood))).toBe(1008);
    }
    await countedAsClosed('flood', 3);
  });

  test('closes on garbage instead of frames', async () => {
    expect(await closedAfter((client) => client.socket.write(Buffer.alloc(1000, 0xff)))).toBe(1002);
  });

  test('survives connections that are reset', async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => RawWebSocket.open(served.address)));
    for (const { socket } of clients) socket.resetAndDestroy();
    await waitFor(() => served.metrics.gaugeValue('teranode_p2p_ws_clients') === 1, { what: 'the witness alone' });
  });

  test('cuts a client that never completes the closing handshake', async () => {
    const socket = await dialSocket(served.address);
    socket.write(upgradeText(served.address));
    await once(socket, 'data');
    socket.write(frameBytes({ opcode: 8, payload: Buffer.from([0x03, 0xe8]) }));
    socket.on('data', () => undefined);
    await waitFor(() => socket.readableEnded || socket.destroyed, { what: 'the end' });
    await waitFor(() => served.metrics.gaugeValue('teranode_p2p_ws_clients') === 1, { what: 'the witness alone' });
  });
});
