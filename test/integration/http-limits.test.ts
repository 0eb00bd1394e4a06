// What HTTP allows whom: origins, rates, sizes, slowness; and that what is no HTTP is answered and shown out.
import { describe, expect, test } from 'vitest';
import { serveHttp, stopHttpAfterEach } from '../support/http.ts';
import { waitFor } from '../support/wait.ts';
import { answerOn, ask, dialSocket, RawWebSocket, upgradeText } from '../support/websocket.ts';

stopHttpAfterEach();

const ORIGIN = 'https://explorer.example';

describe('origins', () => {
  test('every page may read by default, refusals too', async () => {
    const { address } = await serveHttp();
    for (const path of ['/health', '/metrics', '/api/v1/peers', '/nothing', '/p2p-ws']) {
      const response = await fetch(`http://${address}${path}`, { headers: { origin: ORIGIN } });
      expect(response.headers.get('access-control-allow-origin')).toBe('*');
    }
    const plain = await fetch(`http://${address}/health`);
    expect(plain.headers.get('access-control-allow-origin')).toBe('*');
  });

  test('those of the setting only', async () => {
    const { address } = await serveHttp({ corsOrigins: [ORIGIN, 'https://wallet.example'] });
    const allowed = async (origin: string) => {
      const { headers } = await fetch(`http://${address}/api/v1/peers`, { headers: { origin } });
      return headers.get('access-control-allow-origin');
    };
    expect(await allowed(ORIGIN)).toBe(ORIGIN);
    expect(await allowed('https://wallet.example')).toBe('https://wallet.example');
    expect(await allowed('https://elsewhere.example')).toBeNull();
  });

  test('a page may ask whether it may change things', async () => {
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

test('headers that keep browsers careful', async () => {
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

describe('rates', () => {
  test('one address has so many requests; probes and upgrades are not counted', async () => {
    const { address } = await serveHttp({ ratePerSecond: 2 });
    const statuses = async (path: string) => {
      const answers = await Promise.all(Array.from({ length: 30 }, () => fetch(`http://${address}${path}`)));
      return answers.map(({ status }) => status).sort();
    };
    const counted = await statuses('/api/v1/peers');
    expect(counted.filter((status) => status === 200)).toHaveLength(20);
    expect(counted.filter((status) => status === 429)).toHaveLength(10);
    for (const path of ['/metrics', '/nothing', '/api/v1/nothing']) {
      const refused = await fetch(`http://${address}${path}`);
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await refused.json()).toMatchObject({ code: 'TOO_MANY_REQUESTS' });
    }
    for (const path of ['/health', '/health/live', '/health/ready']) {
      expect(new Set(await statuses(path))).toEqual(new Set([200]));
    }
    for (let i = 0; i < 30; i += 1) expect((await ask(address, upgradeText(address))).status).toBe(101);
  });

  test('0 is no limit', async () => {
    const { address } = await serveHttp({ ratePerSecond: 0 });
    for (let i = 0; i < 50; i += 1) expect((await fetch(`http://${address}/api/v1/peers`)).status).toBe(200);
  });
});

describe('sizes', () => {
  test('headers beyond 8 KiB, and a path beyond them', async () => {
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
  ])('%s are no request', async (_what, bytes) => {
    const { address, log } = await serveHttp();
    const { status } = await ask(address, bytes);
    expect([400, 404]).toContain(status);
    expect((await fetch(`http://${address}/health`)).status).toBe(200);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('HTTP/1.0 is served', async () => {
    const { address } = await serveHttp();
    const answer = await ask(address, 'GET /health HTTP/1.0\r\n\r\n');
    expect([answer.status, answer.body]).toEqual([200, 'OK']);
  });
});

describe('slowness', () => {
  test('headers and bodies that come byte by byte, and connections that say nothing, are given up; others are served', async () => {
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

  test('a handler that takes too long is given up', async () => {
    const { address, view } = await serveHttp();
    view.gate = new Promise(() => undefined);
    const startMs = performance.now();
    const response = await fetch(`http://${address}/api/v1/sync`);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([504, 'TIMEOUT']);
    expect(performance.now() - startMs).toBeLessThan(20_000);
  }, 60_000);
});

test('requests are counted by route and status, whatever path is asked', async () => {
  const { address, metrics } = await serveHttp();
  await fetch(`http://${address}/health`);
  await fetch(`http://${address}/api/v1/peers/x`);
  for (let i = 0; i < 3; i += 1) await fetch(`http://${address}/nothing-${i}`);
  const count = (route: string, status: string) => metrics.count('teranode_p2p_http_requests_total', { route, status });
  await waitFor(() => count('none', '404') === 3, { what: 'the last count' });
  expect(count('/health', '200')).toBe(1);
  expect(count('/api/v1/peers/:id', '400')).toBe(1);
});

test('stop ends what is open, within its time', async () => {
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
