// `/p2p-ws` as programs see it: first frame, live frames, filters, PING, origins, limits, close.
import { describe, expect, test } from 'vitest';
import type { Notification } from '../../src/domain/notification.ts';
import {
  BASE_URL,
  block,
  OTHER_ID,
  OWN_ID,
  OWN_STATUS,
  serveHttp,
  stopHttpAfterEach,
  subtree,
} from '../support/http.ts';
import { waitFor } from '../support/wait.ts';
import { ask, CLOSE, PING, RawWebSocket, TEXT, upgradeText } from '../support/websocket.ts';

stopHttpAfterEach();

const MINING_ON: Notification = {
  type: 'mining_on',
  atMs: 0,
  isOwn: true,
  hash: '33'.repeat(32) as never,
  previousHash: undefined,
  height: 5,
  miner: 'm',
  sizeInBytes: 6n,
  txCount: 7n,
  baseUrl: BASE_URL,
  peerId: OWN_ID,
};
const EXTRA: Notification[] = [
  { type: 'rejected_tx', atMs: 0, isOwn: false, hash: '11'.repeat(32) as never, reason: 'fee', peerId: OTHER_ID },
  { type: 'best_block', atMs: 0, isOwn: true, hash: '22'.repeat(32) as never, height: 3, peerId: OWN_ID },
];

function typesOf(client: RawWebSocket): unknown[] {
  return client.messages().map(({ type }) => type);
}

describe('frames that a client receives', () => {
  test('first the status of this node, then live messages, each in one unmasked text frame', async () => {
    const { address, notifications } = await serveHttp();
    notifications.publish(subtree(1));
    const client = await RawWebSocket.open(address);
    await client.received(1);
    notifications.publish(subtree(2), block(3), { ...OWN_STATUS, isOwn: false, peerId: OTHER_ID }, ...EXTRA);
    await client.received(4);
    notifications.publish(subtree(4));
    await client.received(5);
    expect(typesOf(client)).toEqual(['node_status', 'subtree', 'block', 'node_status', 'subtree']);
    expect(client.messages()[0]).toMatchObject({ peer_id: OWN_ID, best_height: 7, fsm_state: 'RUNNING' });
    expect(client.frames.every(({ opcode, isFinal, isMasked }) => opcode === TEXT && isFinal && !isMasked)).toBe(true);
    expect(client.texts()[1]).toBe(
      `{"timestamp":"2023-11-14T22:13:20Z","type":"subtree","hash":"${'2'.padStart(64, '0')}","base_url":"${BASE_URL}","peer_id":"${OTHER_ID}","best_height":0,"block_assembly_details":null}`,
    );
  });

  test('a client of another implementation understands them', async () => {
    const { address, notifications } = await serveHttp();
    const client = new WebSocket(`ws://${address}/p2p-ws`);
    const messages: string[] = [];
    const enough = Promise.withResolvers<void>();
    client.addEventListener('message', ({ data }) => {
      messages.push(String(data));
      if (messages.length === 1) notifications.publish(...Array.from({ length: 500 }, (_each, i) => subtree(i)));
      if (messages.length === 501) enough.resolve();
    });
    await enough.promise;
    const closed = new Promise((resolve) => client.addEventListener('close', resolve));
    client.close(1000, 'done');
    await closed;
    const hashes = messages.slice(1).map((text) => Number.parseInt((JSON.parse(text) as { hash: string }).hash, 16));
    expect(hashes).toEqual(Array.from({ length: 500 }, (_each, i) => i));
  });

  test('PING with our URL and peer ID, whatever the filter', async () => {
    const options = { webSocket: { maxClients: 10, bufferFrames: 100, times: { pingFrameMs: 50 } } };
    const { address } = await serveHttp(options);
    const clients = await Promise.all(
      ['', '?types=block', '?types=lost'].map((query) => RawWebSocket.open(address, { path: `/p2p-ws${query}` })),
    );
    for (const client of clients) {
      const [ping] = await client.received(2, 'PING');
      const { timestamp, ...rest } = ping ?? {};
      expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(rest).toEqual({
        type: 'PING',
        base_url: BASE_URL,
        peer_id: OWN_ID,
        best_height: 0,
        block_assembly_details: null,
      });
    }
  });

  test.each([
    ['block', ['block']],
    ['block,subtree', ['subtree', 'block']],
    ['rejected_tx,best_block', ['rejected_tx', 'best_block']],
    ['node_status', ['node_status']],
    ['', ['subtree', 'block', 'node_status']],
    ['lost', []],
  ])('?types=%s', async (types, expected) => {
    const { address, notifications } = await serveHttp();
    const client = await RawWebSocket.open(address, { path: `/p2p-ws?types=${types}` });
    const everything = await RawWebSocket.open(address, {
      path: '/p2p-ws?types=block&types=subtree,node_status,rejected_tx,best_block',
    });
    notifications.publish(subtree(1), block(2), { ...OWN_STATUS, isOwn: false }, ...EXTRA);
    await everything.received(6);
    await client.received(1 + expected.length);
    expect(typesOf(client)).toEqual(['node_status', ...expected]);
  });

  test('on message-bus: blocks, subtrees and statuses in the order of its servers, and no PING frame', async () => {
    const times = { pingFrameMs: 5, pingMs: 50, checkMs: 10 };
    const webSocket = { wires: ['message-bus' as const], maxClients: 10, bufferFrames: 100, times };
    const { address, notifications } = await serveHttp({ webSocket });
    const client = await RawWebSocket.open(address);
    await client.received(1);
    notifications.publish(MINING_ON, subtree(1), { ...OWN_STATUS, isOwn: false, storage: 'full', subtreeCount: 8 });
    await client.received(3);
    await waitFor(() => client.frames.filter(({ opcode }) => opcode === PING).length > 2, { what: 'protocol pings' });
    const [status, ...others] = client.texts();
    expect(status).toMatch(/"best_height":7,"fsm_state":"RUNNING"/);
    expect(others).toEqual([
      `{"timestamp":"2023-11-14T22:13:20Z","type":"subtree","hash":"${'1'.padStart(64, '0')}","base_url":"${BASE_URL}","peer_id":"${OTHER_ID}","best_height":0}`,
      expect.stringMatching(/"best_height":7,"subtree_count":8,"fsm_state".*"storage":"full"}$/),
    ]);
  });

  test('with both wires: the order of message-bus, with mining-on and PING', async () => {
    const times = { pingFrameMs: 50 };
    const wires = ['message-bus', 'go-p2p'] as const;
    const { address, notifications } = await serveHttp({
      webSocket: { wires, maxClients: 9, bufferFrames: 99, times },
    });
    const client = await RawWebSocket.open(address);
    notifications.publish(MINING_ON);
    const [mining] = await client.received(1, 'mining_on');
    expect(Object.keys(mining ?? {}).slice(-3)).toEqual(['size_in_bytes', 'miner', 'best_height']);
    const [ping] = await client.received(1, 'PING');
    expect(Object.keys(ping ?? {})).toEqual(['timestamp', 'type', 'base_url', 'peer_id', 'best_height']);
  });

  test('long messages in one frame each', async () => {
    const { address, notifications } = await serveHttp();
    const client = await RawWebSocket.open(address);
    const lengths = [1, 200, 70_000];
    for (const length of lengths) notifications.publish({ ...OWN_STATUS, isOwn: false, minerName: 'm'.repeat(length) });
    await client.received(4);
    expect(
      client
        .messages()
        .slice(1)
        .map(({ miner_name: name }) => String(name).length),
    ).toEqual(lengths);
  });

  test('stop unsubscribes and closes clients with a reason', async () => {
    const { address, notifications, server, metrics } = await serveHttp();
    const client = await RawWebSocket.open(address);
    await client.received(1);
    // The events that are kept, and the WebSockets.
    expect(notifications.watched).toBe(2);
    expect(metrics.gaugeValue('teranode_p2p_ws_clients')).toBe(1);
    notifications.publish(subtree(1));
    await server.stop();
    expect(await client.closed()).toEqual({ code: 1001, reason: 'server stopping' });
    await client.gone();
    expect(typesOf(client)).toEqual(['node_status', 'subtree']);
    expect(notifications.watched).toBe(1);
    expect(metrics.count('teranode_p2p_ws_closed_total', { reason: 'stop' })).toBe(1);
    expect(metrics.gaugeValue('teranode_p2p_ws_clients')).toBe(0);
  });

  test('removes a client that disconnects', async () => {
    const { address, metrics } = await serveHttp();
    const client = await RawWebSocket.open(address);
    client.send({ opcode: CLOSE, payload: Buffer.from([0x03, 0xe8]) });
    expect((await client.closed()).code).toBe(1000);
    await client.gone();
    const left = () => metrics.count('teranode_p2p_ws_closed_total', { reason: 'left' });
    await waitFor(() => left() === 1, { what: 'its count' });
  });
});

describe('the first frame', () => {
  const quick = { webSocket: { maxClients: 10, bufferFrames: 100, times: { statusMs: 50 } } };

  test('is the latest known status when the current one is late or fails', async () => {
    const { address, answers, notifications } = await serveHttp(quick);
    answers.ownStatus = () => new Promise(() => undefined);
    notifications.publish({ ...OWN_STATUS, bestHeight: 41 });
    expect((await (await RawWebSocket.open(address)).received(1))[0]).toMatchObject({ best_height: 41 });
    const failing = await serveHttp(quick);
    failing.answers.ownStatus = () => Promise.reject(new Error('no chain'));
    failing.notifications.publish({ ...OWN_STATUS, bestHeight: 42 });
    expect((await (await RawWebSocket.open(failing.address)).received(1))[0]).toMatchObject({ best_height: 42 });
  });

  test('refuses the upgrade with 503 while no status is known', async () => {
    const { address, answers } = await serveHttp(quick);
    answers.ownStatus = () => Promise.reject(new Error('not started'));
    const refused = await ask(address, upgradeText(address));
    expect([refused.status, refused.headers['retry-after'], JSON.parse(refused.body)]).toEqual([
      503,
      '1',
      { code: 'NOT_READY', message: 'the status of this node is not known yet' },
    ]);
    answers.ownStatus = () => OWN_STATUS;
    expect((await (await RawWebSocket.open(address)).received(1))[0]).toMatchObject({ best_height: 7 });
  });

  test('requests the status once, however many clients connect', async () => {
    const { address, answers } = await serveHttp();
    let asked = 0;
    answers.ownStatus = async () => {
      asked += 1;
      return OWN_STATUS;
    };
    const clients = await Promise.all(Array.from({ length: 50 }, () => RawWebSocket.open(address)));
    for (const client of clients) await client.received(1);
    expect(asked).toBeLessThanOrEqual(2);
  });

  test('does not use the status of another node', async () => {
    const { address, answers, notifications } = await serveHttp(quick);
    answers.ownStatus = () => Promise.reject(new Error('not started'));
    notifications.publish({ ...OWN_STATUS, isOwn: false });
    expect((await ask(address, upgradeText(address))).status).toBe(503);
  });
});

describe('admission', () => {
  test('refuses an unknown type by name before the upgrade', async () => {
    const { address } = await serveHttp();
    const refused = await ask(address, upgradeText(address, { path: '/p2p-ws?types=block,blocks' }));
    expect(refused.status).toBe(400);
    expect(JSON.parse(refused.body)).toEqual({
      code: 'INPUT_INVALID',
      message:
        'query/types: invalid type "blocks" (expected block, subtree, mining_on, node_status, rejected_tx, best_block, tip, reorg, lost)',
    });
  });

  test('allows web pages from the configured origins, and clients without an origin', async () => {
    const { address } = await serveHttp({ webSocketOrigins: ['https://explorer.example'] });
    const from = (origin: string) => upgradeText(address, { headers: { Origin: origin } });
    const refused = await ask(address, from('https://elsewhere.example'));
    expect([refused.status, JSON.parse(refused.body).code]).toEqual([403, 'FORBIDDEN']);
    expect((await ask(address, from('https://explorer.example'))).status).toBe(101);
    expect((await ask(address, upgradeText(address))).status).toBe(101);
  });

  test('allows any origin by default', async () => {
    const { address } = await serveHttp();
    expect((await ask(address, upgradeText(address, { headers: { Origin: 'https://a.example' } }))).status).toBe(101);
  });

  test('limits the number of clients; a client that disconnects frees its slot', async () => {
    const { address, metrics } = await serveHttp({ webSocket: { maxClients: 2, bufferFrames: 100 } });
    const clients = [await RawWebSocket.open(address), await RawWebSocket.open(address)];
    const refused = await ask(address, upgradeText(address));
    expect([refused.status, refused.headers['retry-after'], JSON.parse(refused.body)]).toEqual([
      503,
      '30',
      { code: 'TOO_MANY_CLIENTS', message: 'too many WebSocket clients (limit 2)' },
    ]);
    expect(metrics.gaugeValue('teranode_p2p_ws_clients_bound')).toBe(2);
    clients[0]?.socket.destroy();
    await expect.poll(async () => (await ask(address, upgradeText(address))).status, { timeout: 15_000 }).toBe(101);
  });

  test('limits clients per address without locking out other addresses', async () => {
    const { address } = await serveHttp({ webSocket: { maxClients: 4, maxPerAddress: 2, bufferFrames: 100 } });
    const open = async (from: string) => await RawWebSocket.open(address, { from });
    const first = await open('127.0.0.1');
    await open('127.0.0.1');
    const refused = await ask(address, upgradeText(address));
    expect([refused.status, refused.headers['retry-after'], JSON.parse(refused.body)]).toEqual([
      429,
      '30',
      { code: 'TOO_MANY_CLIENTS', message: 'too many WebSocket clients from this address (limit 2)' },
    ]);
    await open('127.0.0.2');
    await open('127.0.0.2');
    await expect(open('127.0.0.2')).rejects.toThrow('upgrade refused: 503');
    first.socket.destroy();
    await expect.poll(async () => (await ask(address, upgradeText(address))).status, { timeout: 15_000 }).toBe(101);
  });

  test('clients of trusted ranges have no limit per address and count in the limit of all', async () => {
    const limits = { maxClients: 4, maxPerAddress: 1, unlimitedRanges: ['127.0.0.0/31', '::1/128'] };
    const { address } = await serveHttp({ webSocket: { ...limits, bufferFrames: 100 } });
    const open = async (from: string) => await RawWebSocket.open(address, { from });
    await open('127.0.0.2');
    await expect(open('127.0.0.2')).rejects.toThrow('upgrade refused: 429');
    for (let i = 0; i < 3; i += 1) await open('127.0.0.1');
    await expect(open('127.0.0.1')).rejects.toThrow('upgrade refused: 503');
  });

  test('the server sends protocol pings, which a reading client answers', async () => {
    const options = { webSocket: { maxClients: 2, bufferFrames: 100, times: { pingMs: 50, checkMs: 20 } } };
    const { address } = await serveHttp(options);
    const client = await RawWebSocket.open(address);
    await expect
      .poll(() => client.frames.filter(({ opcode }) => opcode === PING).length, { timeout: 15_000 })
      .toBeGreaterThan(4);
    expect(client.isGone).toBe(false);
  });
});
