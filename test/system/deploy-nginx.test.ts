// deploy/nginx.conf in a real nginx in front of a started server: TLS, the API, events, the WebSocket, gRPC, and limits
// per client address, which the server takes from the proxy that it trusts.
import { request } from 'node:https';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPeerClient } from '../../src/client/index.ts';
import { EventClient } from '../support/event-source.ts';
import { privateNetwork } from '../support/network.ts';
import { Nginx } from '../support/nginx.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';
import { cutAll, RawWebSocket } from '../support/websocket.ts';

const KEY = 'a key for tests only, 0815';
const [FIRST, SECOND] = ['127.0.0.2', '127.0.0.3'];

let server: ServerProcess;
let nginx: Nginx;

beforeAll(async () => {
  server = await ServerProcess.start({
    settings: {
      ...privateNetwork('regtest'),
      grpc_admin_api_key: KEY,
      // As deploy/nginx.conf says.
      p2p_http_trusted_proxies: '127.0.0.1/32',
      p2p_ws_max_clients_per_address: '1',
      p2p_http_rate: '1',
      p2p_http_public_reads: 'events',
      embedded_chain_mine_interval: '1s',
    },
  });
  nginx = await Nginx.start(server.ready.httpAddress, server.ready.grpcAddress);
});

afterAll(async () => {
  cutAll();
  await Promise.all([nginx?.stop(), server?.stop()]);
});

interface Asked {
  readonly headers?: Readonly<Record<string, string>>;
  readonly from?: string;
}

/** The status and the body: all of it, or as much as has come when `until` is in it. */
async function get(path: string, { headers = {}, from = FIRST }: Asked = {}, until?: string) {
  const [host, port] = nginx.address.split(':');
  const answered = Promise.withResolvers<{ status: number; body: string }>();
  const asked = request(
    { host, port, path, headers, ca: nginx.ca, servername: 'localhost', localAddress: from, agent: false },
    (response) => {
      let body = '';
      const done = () => answered.resolve({ status: response.statusCode ?? 0, body });
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
        if (until !== undefined && body.includes(until)) done();
      });
      response.on('end', done);
    },
  );
  asked.on('error', answered.reject).end();
  try {
    return await answered.promise;
  } finally {
    asked.destroy();
  }
}

const openWebSocket = (from: string, headers: Readonly<Record<string, string>> = {}) =>
  RawWebSocket.open(nginx.address, { ca: nginx.ca, from, headers: { Host: 'localhost', ...headers } });

test('health checks and the API are behind TLS, and metrics are not to be had', async () => {
  expect(await get('/health/live')).toMatchObject({ status: 200 });
  expect(await get('/api/v1/sync', { headers: { 'x-api-key': KEY } })).toMatchObject({ status: 200 });
  expect(await get('/metrics')).toMatchObject({ status: 404 });
  expect((await server.get('/metrics')).status).toBe(200);
});

test.each(['node.example', 'localhost', '127.0.0.1'])(
  'without the admin key a client that names %s as its host reads nothing of the API but what the settings make public',
  async (name) => {
    const asked = { headers: { Host: name }, from: `127.0.1.${name.length}` };
    expect((await get('/api/v1/peers', asked)).status).toBe(403);
    expect((await get('/health/ready', asked)).status).toBe(200);
  },
);

test('an event arrives when it happens, not when many have happened', async () => {
  const direct = await EventClient.open(server.ready.httpAddress, '?types=tip');
  const { status } = await get('/api/v1/events?types=tip', {}, 'event: tip');
  expect(status).toBe(200);
  // nginx would hold back 4 KiB, which are some forty of them.
  expect(direct.events.length).toBeLessThan(10);
  direct.close();
});

test('a WebSocket is upgraded, gets frames, and counts for the address of its client', async () => {
  const first = await openWebSocket(FIRST);
  await waitFor(() => first.messages().length > 0, { what: 'a frame' });
  await expect(openWebSocket(FIRST)).rejects.toThrow('upgrade refused: 429');
  // What a client claims does not count.
  await expect(openWebSocket(FIRST, { 'X-Forwarded-For': SECOND })).rejects.toThrow('upgrade refused: 429');
  const second = await openWebSocket(SECOND);
  await waitFor(() => second.messages().length > 0, { what: 'a frame' });
});

test('the rate of requests is that of the client address, not of the proxy', async () => {
  const path = '/api/v1/sync';
  const asked = { headers: { 'x-api-key': 'wrong' }, from: '127.0.0.4' };
  await waitFor(async () => (await get(path, asked)).status === 429, { what: 'the limit of one address' });
  expect((await get(path, { ...asked, from: '127.0.0.5' })).status).not.toBe(429);
});

test('gRPC passes with its key and its errors', async () => {
  const [, port] = nginx.address.split(':');
  const options = { address: `localhost:${port}`, tls: { caFile: nginx.authority.certFile } };
  const client = createPeerClient({ ...options, adminKey: KEY });
  const stranger = createPeerClient(options);
  try {
    expect((await client.banPeer('203.0.113.7', Date.now() + 3_600_000, 'test')).isStored).toBe(true);
    expect(await client.isBanned('203.0.113.7')).toBe(true);
    // Of the other service.
    expect((await stranger.status()).peerId).toBe(server.peerId);
    await expect(stranger.clearBanned()).rejects.toMatchObject({ details: { grpcCode: 'UNAUTHENTICATED' } });
  } finally {
    client.close();
    stranger.close();
  }
});
