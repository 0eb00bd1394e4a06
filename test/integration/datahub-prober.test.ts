// The DataHub prober against servers that respond well, badly, endlessly or never, and against addresses that it must
// not connect to.
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  BEST_HEADER_CHECK,
  type DataHubCheck,
  genesisBlockCheck,
  HttpDataHubProber,
} from '../../src/adapters/datahub/datahub-prober.ts';
import type { ResolveName } from '../../src/adapters/datahub/name-resolver.ts';
import { DataHubHealth } from '../../src/peers/datahub/datahub-health.ts';
import type { DataHubState } from '../../src/peers/datahub/datahub-hosts.ts';
import { systemClock } from '../../src/ports/clock.ts';
import type { ProbeTarget } from '../../src/ports/datahub-prober.ts';
import { hashHeader } from '../../src/wire/header.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { type CertificateFiles, makeAuthority, makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { waitFor } from '../support/wait.ts';

const GENESIS = hashHeader(NETWORKS.mainnet.genesisHeader);
const never = new AbortController().signal;
const stops: (() => void)[] = [];

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A server on loopback that counts who connects and what is asked. */
async function listen<S extends Server>(server: S) {
  const sockets = new Set<Socket>();
  const seen = { connections: 0, requests: [] as { path: string; host: string | undefined; agent: string }[] };
  server.on('connection', (socket: Socket) => {
    seen.connections += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('request', ({ url, headers }: IncomingMessage) => {
    seen.requests.push({ path: url ?? '', host: headers.host, agent: headers['user-agent'] ?? '' });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return { seen, port, open: () => sockets.size, url: `http://127.0.0.1:${port}` };
}

const serve = (answer: (request: IncomingMessage, response: ServerResponse) => void) =>
  listen(createHttpServer(answer));

const withStatus = (status: number, headers: Record<string, string> = {}) =>
  serve((_request, response) => {
    response.writeHead(status, headers).end('{}');
  });

interface ProberOptions {
  readonly allowsPrivate?: boolean;
  readonly resolve?: ResolveName;
  readonly deadlineMs?: number;
  readonly check?: DataHubCheck;
}

function proberOf(options: ProberOptions = {}) {
  const { allowsPrivate = true, resolve, deadlineMs, check = genesisBlockCheck(GENESIS) } = options;
  return new HttpDataHubProber(resolve === undefined ? {} : { resolve }, {
    check,
    allowsPrivate,
    userAgent: 'teranode/bitcoin/v0.0.0-test',
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  });
}

describe('responses of a DataHub', () => {
  test.each([
    [200, 'alive'],
    [204, 'alive'],
    [404, 'alive'],
    [429, 'alive'],
    [304, 'alive'],
    [302, 'alive'],
    [500, 'dead'],
    [503, 'dead'],
  ])('a DataHub that responds with status %i is %s', async (status, outcome) => {
    const { url } = await withStatus(status);
    expect(await proberOf().probe(url, never)).toMatchObject({ outcome, details: `status ${status}` });
  });

  test('requests the genesis block below the path of the URL, without its query', async () => {
    const { url, seen, port } = await withStatus(200);
    for (const path of ['/api/v1', '/api/v1/', '/api/v1?a=b#c', '']) await proberOf().probe(`${url}${path}`, never);
    expect(seen.requests.map(({ path }) => path)).toEqual([
      ...Array.from({ length: 3 }, () => `/api/v1/block/${GENESIS}`),
      `/block/${GENESIS}`,
    ]);
    expect(seen.requests[0]).toMatchObject({ host: `127.0.0.1:${port}`, agent: 'teranode/bitcoin/v0.0.0-test' });
  });

  test('a closed port and a server without HTTP are dead', async () => {
    const gone = await withStatus(200);
    for (const stop of stops.splice(0)) stop();
    expect(await proberOf().probe(gone.url, never)).toMatchObject({ outcome: 'dead', details: 'ECONNREFUSED' });
    const hangsUp = await listen(createTcpServer((socket) => socket.destroy()));
    expect(await proberOf().probe(hangsUp.url, never)).toMatchObject({ outcome: 'dead', reason: 'unreachable' });
    const talks = await listen(createTcpServer((socket) => socket.end('220 mail ready\r\n')));
    expect(await proberOf().probe(talks.url, never)).toMatchObject({ outcome: 'dead', reason: 'unreachable' });
    const upgrades = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n';
    const switching = await listen(createTcpServer((socket) => socket.end(upgrades)));
    expect(await proberOf().probe(switching.url, never)).toMatchObject({ outcome: 'dead', reason: 'unreachable' });
  });

  test.each(['nothing', 'ftp://example.org', 'http://user:pass@example.org/', 'http://user@example.org/', ''])(
    '%j is no URL that is asked',
    async (url) => {
      expect(await proberOf().probe(url, never)).toMatchObject({ outcome: 'dead', reason: 'form' });
    },
  );
});

describe('the check of the best block header', () => {
  test.each([
    [200, 'alive'],
    [204, 'dead'],
    [404, 'dead'],
    [429, 'dead'],
    [503, 'dead'],
  ])('finds a DataHub that responds with status %i %s', async (status, outcome) => {
    const { url, seen } = await withStatus(status);
    const verdict = await proberOf({ check: BEST_HEADER_CHECK }).probe(`${url}/api/v1/`, never);
    expect(verdict).toMatchObject({ outcome, details: `status ${status}` });
    expect(seen.requests.map(({ path }) => path)).toEqual(['/api/v1/bestblockheader']);
  });

  test('follows five redirects and not a sixth', async () => {
    const redirecting = (redirects: number) =>
      serve((request, response) => {
        const step = Number(request.url?.slice(1)) || 0;
        if (step < redirects) response.writeHead(302, { location: `/${step + 1}` }).end();
        else response.writeHead(200).end();
      });
    const prober = proberOf({ check: BEST_HEADER_CHECK });
    expect(await prober.probe((await redirecting(5)).url, never)).toMatchObject({
      outcome: 'alive',
      details: 'status 200',
    });
    expect(await prober.probe((await redirecting(6)).url, never)).toMatchObject({
      outcome: 'dead',
      reason: 'redirects',
    });
  });

  test('is not sent to a private address unless that is allowed', async () => {
    const { url, seen } = await withStatus(200);
    const prober = proberOf({ check: BEST_HEADER_CHECK, allowsPrivate: false });
    expect(await prober.probe(url, never)).toMatchObject({ outcome: 'dead', reason: 'private' });
    expect(seen.connections).toBe(0);
  });
});

describe('servers that waste time or memory', () => {
  const deadlineMs = 300;

  test('times out on a server that never responds', async () => {
    const { url, open } = await serve(() => {});
    expect(await proberOf({ deadlineMs }).probe(url, never)).toMatchObject({ outcome: 'dead', reason: 'timeout' });
    await waitFor(() => open() === 0, { what: 'the connection to be closed' });
  });

  test('times out on headers sent byte by byte', async () => {
    const { url, open } = await listen(
      createTcpServer((socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        const drip = setInterval(() => socket.write('a'), 20);
        socket.on('close', () => clearInterval(drip));
      }),
    );
    expect(await proberOf({ deadlineMs }).probe(url, never)).toMatchObject({ outcome: 'dead', reason: 'timeout' });
    await waitFor(() => open() === 0, { what: 'the connection to be closed' });
  });

  test('stops reading endless headers and endless 1xx responses', async () => {
    const flood = (head: string, piece: string) =>
      listen(
        createTcpServer((socket) => {
          const pour = () => {
            while (!socket.destroyed && socket.write(piece));
          };
          socket.write(head);
          socket.on('drain', pour);
          pour();
        }),
      );
    // Longer than usual: the floods keep a busy machine from reading them in two seconds.
    const prober = proberOf({ deadlineMs: 20_000 });
    const headers = await flood('HTTP/1.1 200 OK\r\n', `x-${'y'.repeat(500)}: z\r\n`);
    expect(await prober.probe(headers.url, never)).toMatchObject({
      outcome: 'dead',
      details: 'HPE_HEADER_OVERFLOW',
    });
    const early = await flood('', 'HTTP/1.1 103 Early Hints\r\n\r\n');
    expect(await prober.probe(early.url, never)).toMatchObject({ outcome: 'dead', reason: 'unreachable' });
  });

  test('does not read the body, be it endless or slow', async () => {
    let written = 0;
    const huge = await serve((_request, response) => {
      response.writeHead(200);
      const pour = () => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024))) written += 64 * 1024;
      };
      response.on('drain', pour);
      pour();
    });
    const drip = await serve((_request, response) => {
      response.writeHead(200).write('{');
    });
    for (const { url, open } of [huge, drip]) {
      expect(await proberOf().probe(url, never)).toMatchObject({ outcome: 'alive' });
      await waitFor(() => open() === 0, { what: 'the connection to be closed' });
    }
    // What fits into the buffers of two sockets.
    expect(written).toBeLessThan(16 * 1024 * 1024);
  });

  test('an abort ends the probe at once without a verdict about the DataHub', async () => {
    const { url, seen, open } = await serve(() => {});
    const stop = new AbortController();
    const probe = proberOf().probe(url, stop.signal);
    await waitFor(() => seen.requests.length === 1, { what: 'the request' });
    stop.abort();
    expect(await probe).toMatchObject({ outcome: 'postponed', reason: 'aborted' });
    await waitFor(() => open() === 0, { what: 'the connection to be closed' });
    expect(await proberOf().probe(url, stop.signal)).toMatchObject({ outcome: 'postponed', reason: 'aborted' });
    expect(seen.requests).toHaveLength(1);
  });

  test('times out on a name that is never resolved', async () => {
    const resolve: ResolveName = (_host, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const verdict = await proberOf({ deadlineMs, resolve }).probe('http://slow.example.org/', never);
    expect(verdict).toMatchObject({ outcome: 'dead', reason: 'timeout' });
  });
});

describe('redirects', () => {
  test('are followed, including relative ones, and the last response counts', async () => {
    const last = await withStatus(503);
    const { url, seen } = await serve((request, response) => {
      const to = request.url === '/moved' ? `${last.url}/there` : '/moved';
      response.writeHead(307, { location: to }).end();
    });
    expect(await proberOf().probe(url, never)).toMatchObject({ outcome: 'dead', details: 'status 503' });
    expect(seen.requests.map(({ path }) => path)).toEqual([`/block/${GENESIS}`, '/moved']);
    expect(last.seen.requests.map(({ path }) => path)).toEqual(['/there']);
  });

  test('a redirect loop ends after three', async () => {
    const { url, seen } = await withStatus(302, { location: '/again' });
    expect(await proberOf().probe(url, never)).toMatchObject({ outcome: 'dead', reason: 'redirects' });
    expect(seen.requests).toHaveLength(4);
  });

  test.each(['file:///etc/passwd', 'http://user:pass@127.0.0.1/', 'gopher://127.0.0.1/', `/${'x'.repeat(3000)}`])(
    'to %s are not followed',
    async (location) => {
      const { url } = await withStatus(302, { location });
      expect(await proberOf().probe(url, never)).toMatchObject({ outcome: 'dead', reason: 'form' });
    },
  );

  test('the caller can veto each request of a redirect chain', async () => {
    const target = await withStatus(200);
    const { url } = await withStatus(302, { location: `${target.url}/x` });
    const asked: ProbeTarget[] = [];
    const verdict = await proberOf().probe(url, never, ({ host, addresses }) => {
      asked.push({ host, addresses });
      return asked.length === 1 ? 'ask' : 'postponed';
    });
    expect(verdict).toMatchObject({ outcome: 'postponed', reason: 'rule' });
    expect(asked).toEqual(Array.from({ length: 2 }, () => ({ host: '127.0.0.1', addresses: ['127.0.0.1'] })));
    expect(target.seen.connections).toBe(0);
  });
});

describe('without private addresses', () => {
  const LOOPBACK_HOSTS = [
    '127.0.0.1',
    '127.1',
    '0x7f000001',
    '2130706433',
    '0177.0.0.1',
    '0.0.0.0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    'localhost',
    'localhost.',
    'hub.localhost',
    'LOCALHOST',
    'printer',
    'hub.internal',
  ];

  test.each(LOOPBACK_HOSTS)('does not connect to %s', async (host) => {
    const { seen, port } = await withStatus(200);
    const verdict = await proberOf({ allowsPrivate: false }).probe(`http://${host}:${port}/`, never);
    expect(verdict).toMatchObject({ outcome: 'dead', reason: 'private' });
    expect(seen.connections).toBe(0);
  });

  test.each([
    [['127.0.0.1']],
    [['::1', '127.0.0.1']],
    [['::ffff:127.0.0.1']],
    [['10.0.0.1', '192.168.1.1', '172.16.0.1', '169.254.169.254', '100.64.0.1', '224.0.0.1', '255.255.255.255']],
    [['fc00::1', 'fe80::1', 'ff02::1', '64:ff9b::7f00:1', '2002:7f00:1::', '4000::1']],
    [['not an address']],
  ])('does not connect to a name that resolves to %j', async (addresses) => {
    const { seen, port } = await withStatus(200);
    const prober = proberOf({ allowsPrivate: false, resolve: async () => addresses });
    const verdict = await prober.probe(`http://hub.example.org:${port}/`, never);
    expect(verdict).toMatchObject({ outcome: 'dead', reason: 'private' });
    expect(seen.connections).toBe(0);
  });

  test('dials only public addresses of a name, one per family', async () => {
    const resolve = async () => ['127.0.0.1', '11.22.33.44', '11.22.33.45', '::1', '2600::1'];
    const asked: ProbeTarget[] = [];
    await proberOf({ allowsPrivate: false, resolve }).probe('http://hub.example.org/', never, (target) => {
      asked.push(target);
      return 'dead';
    });
    expect(asked.map(({ host, addresses }) => [host, addresses])).toEqual([
      ['hub.example.org', ['11.22.33.44', '2600::1']],
    ]);
  });

  test('a name that does not resolve is dead', async () => {
    const prober = proberOf({ allowsPrivate: false, resolve: () => Promise.reject(new Error('ENOTFOUND')) });
    expect(await prober.probe('http://hub.example.org/', never)).toMatchObject({ outcome: 'dead', reason: 'name' });
  });
});

describe('names', () => {
  test('are resolved once, and only the checked addresses are dialed', async () => {
    const { seen, port } = await withStatus(200);
    let resolved = 0;
    const resolve = async () => {
      resolved += 1;
      return resolved === 1 ? ['127.0.0.1'] : ['127.0.0.2'];
    };
    const verdict = await proberOf({ resolve }).probe(`http://hub.example.org:${port}/api`, never);
    expect(verdict).toMatchObject({ outcome: 'alive' });
    expect(resolved).toBe(1);
    expect(seen.requests[0]?.host).toBe(`hub.example.org:${port}`);
  });

  test('the hosts file is used if private addresses are allowed', async () => {
    const { port } = await withStatus(200);
    expect(await proberOf().probe(`http://localhost:${port}/`, never)).toMatchObject({ outcome: 'alive' });
  });
});

describe('TLS', () => {
  const folder = temporaryFolder('datahub-tls');
  let authority: CertificateFiles;
  let named: CertificateFiles;
  const resolve = async () => ['127.0.0.1'];

  beforeAll(async () => {
    authority = await makeAuthority(folder, 'authority');
    named = await makeCertificate(folder, 'hub', authority, { hosts: ['hub.example.org'] });
  });

  const serveTls = () =>
    listen(
      createHttpsServer(
        { cert: readFileSync(named.certFile), key: readFileSync(named.keyFile) },
        (_request, response) => {
          response.writeHead(200).end();
        },
      ),
    );

  test('the certificate must be trusted and match the name', async () => {
    const { port, seen } = await serveTls();
    const untrusted = await proberOf({ resolve }).probe(`https://hub.example.org:${port}/`, never);
    expect(untrusted).toMatchObject({ outcome: 'dead', details: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    const before = getCACertificates('default');
    setDefaultCACertificates([...before, readFileSync(authority.certFile, 'utf8')]);
    try {
      const right = await proberOf({ resolve }).probe(`https://hub.example.org:${port}/`, never);
      expect(right).toMatchObject({ outcome: 'alive' });
      const wrong = await proberOf({ resolve }).probe(`https://other.example.org:${port}/`, never);
      expect(wrong).toMatchObject({ outcome: 'dead', details: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    } finally {
      setDefaultCACertificates(before);
    }
    expect(seen.requests).toHaveLength(1);
  });

  test('HTTP on a TLS port and TLS on an HTTP port are dead', async () => {
    const secure = await serveTls();
    expect(await proberOf().probe(secure.url, never)).toMatchObject({ outcome: 'dead', reason: 'unreachable' });
    const plain = await withStatus(200);
    const asTls = await proberOf().probe(`https://127.0.0.1:${plain.port}/`, never);
    expect(asTls).toMatchObject({ outcome: 'dead', reason: 'unreachable' });
  });
});

describe('health of real servers', () => {
  test('probes a host once, whatever paths are claimed; a closed port is unhealthy', async () => {
    const good = await withStatus(200);
    const health = new DataHubHealth({
      prober: proberOf({ resolve: async (host) => [`127.0.0.${host.split('.')[0]?.slice(1)}`] }),
      clock: systemClock,
      log: recordingLogger(),
      metrics: new RecordedMetrics(),
      random: Math.random,
    });
    const url = `http://h1.example.org:${good.port}/`;
    const claimed = Array.from({ length: 50 }, (_each, i) => `${url}${i}`);
    const failing = 'http://h2.example.org:1/';
    health.watch(() => [url, ...claimed, failing]);
    health.start();
    const is = (expected: DataHubState, of: string) =>
      waitFor(() => health.state(of) === expected, { what: `${of} to be ${expected}` });
    await is('healthy', url);
    await is('unhealthy', failing);
    await health.stop();
    expect(good.seen.requests).toHaveLength(1);
  });
});
