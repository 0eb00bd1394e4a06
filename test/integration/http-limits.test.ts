// Limits of the HTTP server: origins, rates, sizes, slow clients; malformed HTTP is answered and the connection closed.
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../fakes/recorders.ts';
import { ADMIN_KEY, OWN_ID, serveHttp, stopHttpAfterEach } from '../support/http.ts';
import { waitFor } from '../support/wait.ts';
import { answerOn, ask, dialSocket, RawWebSocket, upgradeText } from '../support/websocket.ts';

stopHttpAfterEach();

const ORIGIN = 'https://explorer.example';

describe('origins', () => {
  test('by default every web page may read responses, including refusals', async () => {
    const { address } = await serveHttp();
    for (const path of ['/health', '/metrics', '/api/v1/peers', '/nothing', '/p2p-ws']) {
      const response = await fetch(`http://${address}${path}`, { headers: { origin: ORIGIN } });
      expect(response.headers.get('access-control-allow-origin')).toBe('*');
    }
    const plain = await fetch(`http://${address}/health`);
    expect(plain.headers.get('access-control-allow-origin')).toBe('*');
  });

  test('only the origins of p2p_http_cors_origins are allowed', async () => {
    const { address } = await serveHttp({ corsOrigins: [ORIGIN, 'https://wallet.example'] });
    const allowed = async (origin: string) => {
      const { headers } = await fetch(`http://${address}/api/v1/peers`, { headers: { origin } });
      return headers.get('access-control-allow-origin');
    };
    expect(await allowed(ORIGIN)).toBe(ORIGIN);
    expect(await allowed('https://wallet.example')).toBe('https://wallet.example');
    expect(await allowed('https://elsewhere.example')).toBeNull();
  });

  test('answers the preflight request of a web page that wants to change state', async () => {
    const { address } = await serveHttp();
    const response = await fetch(`http://${address}/api/v1/bans`, {
      method: 'OPTIONS',
      headers: {
        origin: ORIGIN,
        'access-control-request-method': 'DELETE',
        'access-control-request-headers': 'x-api-key,content-type',
      },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-methods')).toContain('DELETE');
    expect(response.headers.get('access-control-allow-headers')).toContain('x-api-key');
  });
});

test('refuses OPTIONS without the headers of a preflight request', async () => {
  const { address } = await serveHttp();
  for (const path of ['/api/v1/peers', '/nothing', '/p2p-ws']) {
    const response = await fetch(`http://${address}${path}`, { method: 'OPTIONS' });
    expect([response.status, await response.json()]).toMatchObject([400, { code: 'REQUEST_INVALID' }]);
  }
});

test('sends security headers for browsers', async () => {
  const { address } = await serveHttp();
  for (const path of ['/health', '/api/v1/peers', '/nothing']) {
    const { headers } = await fetch(`http://${address}${path}`);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('x-powered-by')).toBeNull();
  }
  expect((await fetch(`http://${address}/api/v1/peers`)).headers.get('cache-control')).toBe('no-store');
});

describe('rate limits', () => {
  async function statuses(address: string, path: string, count = 30): Promise<number[]> {
    const answers = await Promise.all(Array.from({ length: count }, () => fetch(`http://${address}${path}`)));
    return answers.map(({ status }) => status).sort();
  }

  test('limits requests per address; health checks and upgrades are exempt', async () => {
    const { address } = await serveHttp({ ratePerSecond: 2 });
    const counted = await statuses(address, '/api/v1/peers');
    expect(counted.filter((status) => status === 200)).toHaveLength(20);
    expect(counted.filter((status) => status === 429)).toHaveLength(10);
    for (const path of ['/openapi.json', '/nothing', '/api/v1/nothing']) {
      const refused = await fetch(`http://${address}${path}`);
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await refused.json()).toMatchObject({ code: 'TOO_MANY_REQUESTS' });
    }
    for (const path of ['/health', '/health/live', '/health/ready']) {
      expect(new Set(await statuses(address, path))).toEqual(new Set([200]));
    }
    for (let i = 0; i < 30; i += 1) expect((await ask(address, upgradeText(address))).status).toBe(101);
  });

  test.each([
    '/%61pi/v1/peers',
    '/%61%70%69/%76%31/peers',
    '/api/v1/peers?x=1',
    '/api/v1/peers#x',
    'http://a/api/v1/peers',
    'http://elsewhere.example:1/%61pi/v1/peers',
    '/openapi%2Ejson',
  ])('counts the path spelled %s', async (path) => {
    const { address } = await serveHttp({ ratePerSecond: 1 });
    const text = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
    for (let i = 0; i < 10; i += 1) expect((await ask(address, text)).status).not.toBe(429);
    expect((await ask(address, text)).status).toBe(429);
    // It is the same count as that of the plain spelling.
    expect((await fetch(`http://${address}/api/v1/peers`)).status).toBe(429);
  });

  test.each(['HEAD', 'POST', 'DELETE', 'PUT'])('counts %s before it checks the admin key', async (method) => {
    const { address } = await serveHttp({ ratePerSecond: 1 });
    const asked = async () => (await fetch(`http://${address}/api/v1/bans`, { method })).status;
    for (let i = 0; i < 10; i += 1) expect(await asked()).not.toBe(429);
    expect(await asked()).toBe(429);
  });

  test('counts /metrics separately, so that other requests do not lock out a monitoring system', async () => {
    const { address } = await serveHttp({ ratePerSecond: 1 });
    await statuses(address, '/api/v1/peers');
    for (let i = 0; i < 10; i += 1) expect((await fetch(`http://${address}/metrics`)).status).toBe(200);
    for (const path of ['/metrics', '/%6detrics']) expect((await fetch(`http://${address}${path}`)).status).toBe(429);
  });

  test('p2p_http_rate = 0 means unlimited', async () => {
    const { address } = await serveHttp({ ratePerSecond: 0 });
    for (const path of ['/api/v1/peers', '/metrics', '/openapi.json']) {
      for (let i = 0; i < 50; i += 1) expect((await fetch(`http://${address}${path}`)).status).toBe(200);
    }
    expect((await fetch(`http://${address}/api/v1/peers`)).headers.get('x-ratelimit-limit')).toBeNull();
  });
});

describe('wrong admin keys', () => {
  function guess(address: string, key: string | undefined, path = '/api/v1/bans?all=true'): Promise<Response> {
    return fetch(`http://${address}${path}`, { method: 'DELETE', ...(key && { headers: { 'x-api-key': key } }) });
  }

  test.each([0, 1000])('an address gets ten attempts per minute, also with a rate of %i', async (ratePerSecond) => {
    const { address, view, log } = await serveHttp({ ratePerSecond });
    for (let i = 0; i < 10; i += 1) expect((await guess(address, `guess ${i}`)).status).toBe(401);
    for (const path of ['/api/v1/bans?all=true', `/%61pi/v1/peers/${OWN_ID}`]) {
      const refused = await guess(address, 'guess', path);
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await refused.json()).toMatchObject({ code: 'TOO_MANY_REQUESTS' });
    }
    expect(view.calls).toEqual([]);
    expect((await guess(address, ADMIN_KEY)).status).toBe(200);
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    expect((await fetch(`http://${address}/api/v1/bans`)).status).toBe(200);
  });

  test('a hundred wrong keys sent at once do not get more attempts', async () => {
    const { address } = await serveHttp();
    const socket = await dialSocket(address);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const one = (i: number) => `DELETE /api/v1/bans?all=true HTTP/1.1\r\nHost: a\r\nx-api-key: guess ${i}\r\n\r\n`;
    socket.write(Array.from({ length: 100 }, (_each, i) => one(i)).join(''));
    const count = (status: number) => text.split(`HTTP/1.1 ${status} `).length - 1;
    await waitFor(() => count(401) + count(429) === 100, { what: 'all answers' });
    expect(count(401)).toBe(10);
  });

  test('correct and missing keys are not counted; the address is unblocked after a minute', async () => {
    const clock = new FakeClock();
    const { address } = await serveHttp({}, clock);
    for (let i = 0; i < 20; i += 1) expect((await guess(address, ADMIN_KEY)).status).toBe(200);
    for (let i = 0; i < 20; i += 1) expect((await guess(address, undefined)).status).toBe(401);
    for (let i = 0; i < 10; i += 1) expect((await guess(address, 'wrong')).status).toBe(401);
    expect((await guess(address, 'wrong')).status).toBe(429);
    clock.advance(61_000);
    expect((await guess(address, 'wrong')).status).toBe(401);
  });
});

describe('sizes', () => {
  test('refuses headers over 8 KiB and paths that are too long', async () => {
    const { address } = await serveHttp();
    const long = 'a'.repeat(9000);
    const header = await ask(address, `GET /health HTTP/1.1\r\nHost: a\r\nX: ${long}\r\n\r\n`);
    expect([header.status, JSON.parse(header.body).code]).toEqual([431, 'TOO_LARGE']);
    expect((await ask(address, `GET /${long} HTTP/1.1\r\nHost: a\r\n\r\n`)).status).toBe(431);
    const parameter = await fetch(`http://${address}/api/v1/explain/${'a'.repeat(600)}`);
    expect([parameter.status, (await parameter.json()) as object]).toMatchObject([414, { code: 'TOO_LARGE' }]);
  });

  test.each([
    ['bytes', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00])],
    ['another protocol', 'EHLO example.org\r\n\r\n'],
    ['a space too many', 'GET  /health HTTP/1.1\r\n\r\n'],
    ['two lengths', 'POST /api/v1/bans HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ['a length and chunks', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['no host', 'GET /health HTTP/1.1\r\n\r\n'],
    ['a path that cannot be decoded', 'GET /%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
  ])('refuses malformed HTTP: %s', async (_what, bytes) => {
    const { address, log } = await serveHttp();
    const { status } = await ask(address, bytes);
    expect([400, 404]).toContain(status);
    expect((await fetch(`http://${address}/health`)).status).toBe(200);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('serves HTTP/1.0', async () => {
    const { address } = await serveHttp();
    const answer = await ask(address, 'GET /health HTTP/1.0\r\n\r\n');
    expect([answer.status, answer.body]).toEqual([200, 'OK']);
  });
});

describe('slowness', () => {
  test('closes connections that send headers or bodies byte by byte, or nothing, while others are served', async () => {
    const { address } = await serveHttp();
    const slow = await Promise.all(Array.from({ length: 300 }, () => dialSocket(address)));
    const [headers, bodies, silent] = [slow.slice(0, 100), slow.slice(100, 200), slow.slice(200)];
    const head =
      'POST /api/v1/bans HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n';
    for (const socket of bodies)
      socket.write(head.replace('\r\n\r\n', '\r\nx-api-key: a key for tests only, 0815\r\n\r\n'));
    for (const socket of headers) socket.write('GET /health HTTP/1.1\r\n');
    for (const socket of [...bodies, ...silent]) socket.resume();
    const dripping = setInterval(() => {
      for (const socket of headers) socket.write('X: y\r\n');
      for (const socket of bodies) socket.write(' ');
    }, 200);
    expect((await fetch(`http://${address}/health`)).status).toBe(200);
    expect((await RawWebSocket.open(address)).answer.status).toBe(101);
    const ended = await Promise.all(headers.map(answerOn));
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set([408]));
    await waitFor(() => [...bodies, ...silent].every((socket) => socket.destroyed || socket.readableEnded), {
      timeoutMs: 25_000,
      what: 'the end of all',
    }).finally(() => clearInterval(dripping));
  }, 60_000);

  test('answers 504 when a handler takes too long', async () => {
    const { address, view } = await serveHttp();
    view.gate = new Promise(() => undefined);
    const startMs = performance.now();
    const response = await fetch(`http://${address}/api/v1/sync`);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([504, 'TIMEOUT']);
    expect(performance.now() - startMs).toBeLessThan(20_000);
  }, 60_000);
});

test('counts requests by route and status, whatever the path', async () => {
  const { address, metrics } = await serveHttp();
  await fetch(`http://${address}/health`);
  await fetch(`http://${address}/api/v1/peers/x`);
  for (let i = 0; i < 3; i += 1) await fetch(`http://${address}/nothing-${i}`);
  const count = (route: string, status: string) => metrics.count('teranode_p2p_http_requests_total', { route, status });
  await waitFor(() => count('none', '404') === 3, { what: 'the last count' });
  expect(count('/health', '200')).toBe(1);
  expect(count('/api/v1/peers/:id', '400')).toBe(1);
});

test('shows the connections and their bound', async () => {
  const { address, metrics } = await serveHttp({
    webSocket: { maxClients: 20, bufferFrames: 100 },
    maxPlainConnections: 30,
  });
  const open = () => metrics.gaugeValue('teranode_p2p_http_connections');
  expect(metrics.gaugeValue('teranode_p2p_http_connections_bound')).toBe(50 + 32);
  const sockets = await Promise.all(Array.from({ length: 20 }, () => dialSocket(address)));
  await waitFor(() => open() === 20, { what: 'all connections' });
  for (const socket of sockets) socket.destroy();
  await waitFor(() => open() === 0, { what: 'the end of all' });
});

test('the admin key opens an address that has used up its rate', async () => {
  const { address } = await serveHttp({ ratePerSecond: 1 });
  const ask = async (key?: string) =>
    (await fetch(`http://${address}/api/v1/peers`, { headers: key === undefined ? {} : { 'x-api-key': key } })).status;
  for (let i = 0; i < 10; i += 1) await ask();
  expect([await ask(), await ask('guess'), await ask(ADMIN_KEY)]).toEqual([429, 429, 200]);
});

test('stop closes open connections within its deadline', async () => {
  const { address, server, view } = await serveHttp();
  view.gate = new Promise(() => undefined);
  const waiting = fetch(`http://${address}/api/v1/sync`).catch((error: unknown) => error);
  const idle = await dialSocket(address);
  const startMs = performance.now();
  await Promise.all([server.stop(), server.stop()]);
  expect(performance.now() - startMs).toBeLessThan(3000);
  await waiting;
  await waitFor(() => idle.destroyed || idle.readableEnded, { what: 'the end of the idle connection' });
  await expect(fetch(`http://${address}/health`)).rejects.toThrow();
});
