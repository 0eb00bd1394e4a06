// Clients behind reverse proxies: those of p2p_http_trusted_proxies forward addresses that count, all others change
// nothing. The proxy is this test, at 127.0.0.1.
import { describe, expect, test } from 'vitest';
import { ADMIN_KEY, serveHttp, stopHttpAfterEach } from '../support/http.ts';
import { ask, RawWebSocket, upgradeText } from '../support/websocket.ts';

stopHttpAfterEach();

const PROXY = ['127.0.0.1/32'];
const [ONE, OTHER] = ['203.0.113.1', '203.0.113.2'];

interface Request {
  readonly path?: string;
  readonly method?: string;
  readonly key?: string;
}

async function forwarded(address: string, chain: string, options: Request = {}): Promise<number> {
  const { path = '/api/v1/peers', method = 'GET', key } = options;
  const headers = { 'x-forwarded-for': chain, ...(key === undefined ? {} : { 'x-api-key': key }) };
  return (await fetch(`http://${address}${path}`, { method, headers })).status;
}

describe('behind a trusted proxy', () => {
  test('each client has its own rate, whatever it invents in front of its address', async () => {
    const { address } = await serveHttp({ trustedProxies: PROXY, ratePerSecond: 1 });
    for (let i = 0; i < 10; i += 1) expect(await forwarded(address, `198.51.100.${i}, ${ONE}`)).toBe(200);
    expect(await forwarded(address, `198.51.100.99, ${ONE}`)).toBe(429);
    expect(await forwarded(address, OTHER)).toBe(200);
  });

  test('each client has its own attempts at the admin key', async () => {
    const { address, log } = await serveHttp({ trustedProxies: PROXY });
    const remove = { path: '/api/v1/bans?all=true', method: 'DELETE' };
    for (let i = 0; i < 10; i += 1) expect(await forwarded(address, ONE, { ...remove, key: 'guess' })).toBe(401);
    expect(await forwarded(address, ONE, { ...remove, key: 'guess' })).toBe(429);
    expect(await forwarded(address, OTHER, { ...remove, key: 'guess' })).toBe(401);
    expect(await forwarded(address, ONE, { ...remove, key: ADMIN_KEY })).toBe(200);
    expect(log.lines.map(({ fields }) => fields?.address)).toContain(ONE);
  });

  test('each client has its own WebSockets', async () => {
    const webSocket = { maxClients: 10, maxPerAddress: 1, bufferFrames: 100 };
    const { address } = await serveHttp({ trustedProxies: PROXY, webSocket });
    const open = (chain: string) => ask(address, upgradeText(address, { headers: { 'X-Forwarded-For': chain } }));
    await RawWebSocket.open(address, { headers: { 'X-Forwarded-For': ONE } });
    expect((await open(ONE)).status).toBe(429);
    expect((await open(OTHER)).status).toBe(101);
  });
});

test('without trusted proxies X-Forwarded-For changes nothing', async () => {
  const webSocket = { maxClients: 10, maxPerAddress: 1, bufferFrames: 100 };
  const { address } = await serveHttp({ ratePerSecond: 1, webSocket });
  for (let i = 0; i < 10; i += 1) expect(await forwarded(address, `203.0.113.${i}`)).toBe(200);
  expect(await forwarded(address, OTHER)).toBe(429);
  await RawWebSocket.open(address, { headers: { 'X-Forwarded-For': ONE } });
  const second = await ask(address, upgradeText(address, { headers: { 'X-Forwarded-For': OTHER } }));
  expect(second.status).toBe(429);
});

test('the PROXY protocol is malformed HTTP', async () => {
  const { address } = await serveHttp({ trustedProxies: PROXY });
  const head = `PROXY TCP4 ${ONE} 127.0.0.1 1234 9906\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n`;
  expect((await ask(address, head)).status).toBe(400);
});
