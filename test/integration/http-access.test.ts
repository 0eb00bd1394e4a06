// Which reads need the admin key: none on a listener bound to loopback, else all that the settings do not make public.
// Over real listeners.
import { createServer, request } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { HttpServer } from '../../src/adapters/http/server/http-server.ts';
import { HTTP_READS, type HttpRead } from '../../src/settings/http-reads.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { ADMIN_KEY, OTHER_ID, serveHttp, stopHttpAfterEach } from '../support/http.ts';
import { OpenApiClient } from '../support/openapi.ts';
import { ask, upgradeText } from '../support/websocket.ts';

stopHttpAfterEach();

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of undo.splice(0)) await each();
});

const READS: Readonly<Record<HttpRead, readonly string[]>> = {
  peers: ['/api/v1/peers', `/api/v1/peers/${OTHER_ID}`],
  bans: ['/api/v1/bans'],
  explain: [`/api/v1/explain/${OTHER_ID}`],
  settings: ['/api/v1/settings'],
  announcements: ['/api/v1/announcements'],
  verdicts: ['/api/v1/verdicts'],
  sync: ['/api/v1/sync'],
  events: ['/api/v1/events'],
  network: ['/api/v1/network'],
  history: ['/api/v1/history/blocks', '/api/v1/history/hours'],
  topics: ['/api/v1/topics'],
  endpoints: ['/api/v1/endpoints'],
};
const ALL_PATHS = Object.values(READS).flat();
const OPEN_PATHS = ['/health', '/health/live', '/health/ready', '/openapi.json'];
const ALL_INTERFACES = ['0.0.0.0:0', '[::]:0', ':0'];

/** A server on all interfaces, with the address at which this machine reaches it. */
async function serveAll(options: Parameters<typeof serveHttp>[0] = {}) {
  const served = await serveHttp({ listenAddress: '0.0.0.0:0', ...options });
  return { ...served, address: `127.0.0.1:${served.address.split(':').at(-1)}` };
}

async function status(address: string, path: string, key?: string, method = 'GET'): Promise<number> {
  const response = await fetch(`http://${address}${path}`, {
    method,
    headers: key === undefined ? {} : { 'x-api-key': key },
  });
  // Not read to its end: that of a stream never comes.
  await response.body?.cancel();
  return response.status;
}

const isOpen = (code: number) => code !== 401;

describe('on all interfaces', () => {
  test.each(ALL_INTERFACES)('%s: reads need the admin key, also for clients on loopback', async (listenAddress) => {
    const { server } = await serveHttp({ listenAddress });
    const address = `127.0.0.1:${server.address()?.split(':').at(-1)}`;
    for (const path of ALL_PATHS) {
      for (const method of ['GET', 'HEAD']) {
        expect([path, method, await status(address, path, undefined, method)]).toEqual([path, method, 401]);
        expect([path, method, isOpen(await status(address, path, ADMIN_KEY, method))]).toEqual([path, method, true]);
      }
    }
    expect(await status(address, '/api/v1/peers', 'wrong')).toBe(401);
  });

  test('an encoded path does not open a read', async () => {
    const { address } = await serveAll();
    expect(await status(address, '/api/v1/%70eers')).toBe(401);
    expect(await status(address, '/%61pi/v1/settings')).toBe(401);
  });

  test('a refused read says what it needs and shows nothing', async () => {
    const { address, view } = await serveAll();
    view.settingViews = [{ key: 'dataFolder', value: '/srv/node', origin: 'default' }];
    const response = await fetch(`http://${address}/api/v1/settings`);
    expect(await response.json()).toEqual({
      code: 'UNAUTHENTICATED',
      message: expect.stringContaining('admin key'),
    });
    expect(view.calls).toEqual([]);
  });

  test('health, metrics, the OpenAPI document and the WebSocket stay open', async () => {
    const { address } = await serveAll();
    for (const path of [...OPEN_PATHS, '/metrics']) expect([path, await status(address, path)]).toEqual([path, 200]);
    expect((await ask(address, upgradeText(address))).status).toBe(101);
  });

  test.each(HTTP_READS)('p2p_http_public_reads = %s opens that group and no other', async (group) => {
    const { address } = await serveAll({ publicReads: [group] });
    for (const each of HTTP_READS) {
      for (const path of READS[each]) {
        expect([path, isOpen(await status(address, path))]).toEqual([path, each === group]);
      }
    }
  });

  test('p2p_http_public_reads = all opens every read and no change', async () => {
    const { address } = await serveAll({ publicReads: ['all'] });
    for (const path of ALL_PATHS) expect([path, isOpen(await status(address, path))]).toEqual([path, true]);
    expect(await status(address, '/api/v1/bans?all=true', undefined, 'DELETE')).toBe(401);
  });

  test('p2p_http_public_metrics = false puts /metrics behind the key', async () => {
    const { address } = await serveAll({ publicMetrics: false });
    expect(await status(address, '/metrics')).toBe(401);
    expect(await status(address, '/metrics', ADMIN_KEY)).toBe(200);
    for (const path of OPEN_PATHS) expect([path, await status(address, path)]).toEqual([path, 200]);
  });

  test('/metrics that is not public is unavailable while there is no admin key yet', async () => {
    const sources = {
      health: async () => ({ status: 503, message: 'waiting', checks: [] }),
      scrape: async () => ({ contentType: 'text/plain', body: 'a_metric 1\n' }),
    };
    const server = new HttpServer(
      { log: recordingLogger(), sources },
      { listenAddress: '0.0.0.0:0', tls: undefined, routes: 'full', publicMetrics: false },
    );
    undo.push(() => server.stop());
    await server.start();
    const address = `127.0.0.1:${server.address()?.split(':').at(-1)}`;
    expect(await status(address, '/metrics', 'any key')).toBe(503);
    expect(await status(address, '/health/live')).toBe(503);
  });
});

describe('on loopback', () => {
  test.each(['127.0.0.1:0', '127.0.0.2:0', '[::1]:0', 'localhost:0'])(
    '%s: no read needs a key, changes do',
    async (listenAddress) => {
      const { address } = await serveHttp({ listenAddress, publicMetrics: false });
      for (const path of [...ALL_PATHS, '/metrics']) {
        expect([path, isOpen(await status(address, path))]).toEqual([path, true]);
      }
      expect(await status(address, '/api/v1/bans?all=true', undefined, 'DELETE')).toBe(401);
    },
  );
});

/** A request as a browser sends it: with the name of its page's server in Host, or the page's origin. */
async function asked(address: string, path: string, headers: Record<string, string>): Promise<number> {
  const [host, port] = address.split(':');
  return await new Promise((resolve, reject) => {
    request({ host, port, path, headers, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

describe('web pages', () => {
  const PAGE = { origin: 'https://evil.example' };
  const REBOUND = { host: 'evil.example:9906' };

  test.each([
    ['of any origin', PAGE],
    ['without an origin of their own', { origin: 'null' }],
    ['whose name leads to loopback', REBOUND],
  ])('%s read nothing from a loopback listener that the key protects elsewhere', async (_what, headers) => {
    const { address, view } = await serveHttp();
    for (const path of ALL_PATHS) {
      expect([path, await asked(address, path, headers)]).toEqual([path, 403]);
      expect([path, isOpen(await asked(address, path, { ...headers, 'x-api-key': ADMIN_KEY }))]).toEqual([path, true]);
      // Ten wrong keys per minute.
      const isGuessed = ALL_PATHS.indexOf(path) < 10;
      if (isGuessed)
        expect([path, await asked(address, path, { ...headers, 'x-api-key': 'guess' })]).toEqual([path, 401]);
      view.calls.splice(0);
    }
    for (const path of [...OPEN_PATHS, '/metrics']) {
      expect([path, await asked(address, path, headers)]).toEqual([path, 200]);
    }
  });

  test.each([
    '127.0.0.1:9906',
    '127.0.0.1',
    '[::1]:9906',
    'localhost:9906',
    'LOCALHOST',
    'node.localhost',
    'me.example',
  ])('a loopback listener is read under the name %s', async (host) => {
    const { address } = await serveHttp({ allowedHosts: ['me.example'] });
    expect(await asked(address, '/api/v1/settings', { host })).toBe(200);
  });

  test.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '127.0.0.1@evil.example'])(
    'a loopback listener is not read under the name %s',
    async (host) => {
      const { address } = await serveHttp();
      expect(await asked(address, '/api/v1/settings', { host })).toBe(403);
    },
  );

  test('of a listed origin read a loopback listener', async () => {
    const { address } = await serveHttp({ corsOrigins: [PAGE.origin] });
    expect(await asked(address, '/api/v1/settings', PAGE)).toBe(200);
    expect(await asked(address, '/api/v1/settings', { origin: 'https://other.example' })).toBe(403);
  });

  test('of every origin read what is public', async () => {
    const { address } = await serveHttp({ publicReads: ['peers'] });
    expect(await asked(address, '/api/v1/peers', { ...PAGE, ...REBOUND })).toBe(200);
    expect(await asked(address, '/api/v1/settings', PAGE)).toBe(403);
  });

  test('read what is public under allowed names only where origins are narrowed', async () => {
    const { address } = await serveAll({
      publicReads: ['peers'],
      corsOrigins: ['https://explorer.example'],
      allowedHosts: ['node.example'],
    });
    expect(await asked(address, '/api/v1/peers', REBOUND)).toBe(403);
    for (const host of ['node.example:9906', '192.0.2.7', 'localhost']) {
      expect([host, await asked(address, '/api/v1/peers', { host })]).toEqual([host, 200]);
    }
    for (const path of [...OPEN_PATHS, '/metrics']) {
      expect([path, await asked(address, path, REBOUND)]).toEqual([path, 200]);
    }
  });
});

test('a proxy on loopback in front of a listener on all interfaces does not open its reads', async () => {
  const { address } = await serveAll();
  const [host, port] = address.split(':');
  const proxy = createServer((incoming, outgoing) => {
    const headers = { ...incoming.headers, 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' };
    request({ host, port, path: incoming.url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 0);
      answer.pipe(outgoing);
    }).end();
  });
  undo.push(() => proxy.close());
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const bound = proxy.address();
  const own = typeof bound === 'object' && bound !== null ? bound.port : 0;
  expect(await status(`127.0.0.1:${own}`, '/health')).toBe(200);
  for (const path of ALL_PATHS) {
    expect([path, await status(`127.0.0.1:${own}`, path)]).toEqual([path, 401]);
  }
});

describe('the OpenAPI document says which reads need the key', () => {
  async function keyed(address: string): Promise<string[]> {
    const client = await OpenApiClient.load(address, ADMIN_KEY);
    return client.operations().flatMap(({ id, needsKey, described }) => {
      expect([id, described.responses[401] !== undefined]).toEqual([id, needsKey]);
      return needsKey ? [id] : [];
    });
  }

  const CHANGES = ['addBan', 'connectPeer', 'disconnectPeer', 'removeBans', 'scorePeer'];
  const READ_IDS = [
    'explain',
    'getNetwork',
    'getPeer',
    'getSync',
    'listAnnouncements',
    'listBans',
    'listEndpoints',
    'listHistoryBlocks',
    'listHistoryHours',
    'listPeers',
    'listSettings',
    'listTopics',
    'listVerdicts',
    'streamEvents',
  ];

  test('on loopback: only changes', async () => {
    expect((await keyed((await serveHttp()).address)).sort()).toEqual(CHANGES);
  });

  test('on all interfaces: changes and reads, and its calls work with the key', async () => {
    const { address } = await serveAll();
    expect((await keyed(address)).sort()).toEqual([...CHANGES, ...READ_IDS].sort());
    const client = await OpenApiClient.load(address, ADMIN_KEY);
    expect((await client.call('listPeers')).status).toBe(200);
    expect((await client.call('listPeers', { key: undefined })).status).toBe(401);
  });

  test('with some reads public and metrics not: as the settings say', async () => {
    const { address } = await serveAll({ publicReads: ['peers', 'sync'], publicMetrics: false });
    const closed = READ_IDS.filter((id) => !['getPeer', 'listPeers', 'getSync'].includes(id));
    expect((await keyed(address)).sort()).toEqual([...CHANGES, ...closed, 'metrics'].sort());
  });
});
