// The router as a machine that may lie, break and answer at length, and what is left on it when the node stops.
import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { portMapping } from '../../../src/adapters/libp2p/nat/port-mapping.ts';
import { type FoundRouter, searchRouters } from '../../../src/adapters/libp2p/nat/router-search.ts';
import { UpnpRouter } from '../../../src/adapters/libp2p/nat/upnp-router.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { waitFor } from '../../support/wait.ts';

const DEVICE = 'urn:schemas-upnp-org:device:InternetGatewayDevice:2';
const SERVICE = 'urn:schemas-upnp-org:service:WANIPConnection:2';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

interface FakeRouter {
  readonly location: URL;
  controlUrl: string;
  /** Answers to actions. */
  ip: string;
  port: string;
  /** Awaited before a mapping is answered. */
  delay: Promise<unknown>;
  readonly actions: string[];
}

async function fakeRouter(): Promise<FakeRouter> {
  const router = { controlUrl: '/control?a=1&amp;b=2', ip: '45.10.0.2', port: '9905', delay: Promise.resolve() };
  const actions: string[] = [];
  const server: Server = createServer(async (request, response) => {
    if (request.url === '/elsewhere') {
      response.writeHead(302, { location: '/description' }).end();
      return;
    }
    response.setHeader('content-type', 'text/xml');
    if (request.url === '/description') {
      const service = (type: string, path: string) =>
        `<service>\n<serviceType>${type}</serviceType><controlURL>${path}</controlURL></service>`;
      const services = service('urn:other:1', '/other') + service(SERVICE, fake.controlUrl);
      response.end(`<root><device><serviceList>${services}</serviceList></device></root>`);
      return;
    }
    const action = /#(\w+)/.exec(String(request.headers.soapaction))?.[1] ?? '';
    actions.push(action);
    if (action === 'AddAnyPortMapping') await fake.delay;
    const body = `<NewExternalIPAddress>${fake.ip}</NewExternalIPAddress><NewReservedPort dt="ui2">${fake.port}</NewReservedPort>`;
    response.end(`<s:Envelope><s:Body><u:${action}Response>${body}</u:${action}Response></s:Body></s:Envelope>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const location = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/description`);
  const fake: FakeRouter = Object.assign(router, { location, actions });
  return fake;
}

const MAPPING = { externalPort: 9905, internalHost: '192.168.7.2', internalPort: 9905 };

test('a router is asked for its address, and to map, renew and remove a port', async () => {
  const fake = await fakeRouter();
  const router = new UpnpRouter(fake.location);
  expect(await router.externalIp()).toBe('45.10.0.2');
  expect(await router.add(MAPPING)).toBe(9905);
  await router.remove(MAPPING);
  expect(fake.actions).toEqual(['GetExternalIPAddress', 'AddAnyPortMapping', 'DeletePortMapping']);
});

test.each(['', '0.0.0.0', '10.0.0.1', '100.64.0.9', '::1', '1.2.3', '1.2.3.4/tcp/1', 'x'.repeat(9999)])(
  'no address of ours is made of the external address %j',
  async (ip) => {
    const fake = await fakeRouter();
    fake.ip = ip;
    await expect(new UpnpRouter(fake.location).externalIp()).rejects.toThrow('no public IPv4 address');
  },
);

test.each(['', '0', '65536', '-1', '1.5', 'x'])('no port of ours is made of %j', async (port) => {
  const fake = await fakeRouter();
  fake.port = port;
  await expect(new UpnpRouter(fake.location).add(MAPPING)).rejects.toThrow('named no port');
});

test('answers of any length, other machines and redirects are refused', async () => {
  const fake = await fakeRouter();
  fake.ip = '1'.repeat(1_000_000);
  await expect(new UpnpRouter(fake.location).externalIp()).rejects.toThrow('too long');
  await expect(new UpnpRouter(new URL('/elsewhere', fake.location)).externalIp()).rejects.toThrow();
  for (const elsewhere of ['http://127.0.0.2/control', 'https://127.0.0.1/control', '//127.0.0.2/x']) {
    fake.controlUrl = elsewhere;
    await expect(new UpnpRouter(fake.location).externalIp()).rejects.toThrow('another machine');
  }
});

test('of what answers a search, only what a router says about itself is believed', async () => {
  const answer = (lines: readonly string[]) => `HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\n`;
  const from = ['127.0.0.1'];
  const good = ['CACHE-CONTROL: max-age=120', `ST: ${DEVICE}`, 'USN: uuid:1', 'LOCATION: http://127.0.0.1:1/d.xml'];
  const without = (name: string, ...more: string[]) =>
    answer([...good.filter((line) => !line.startsWith(name)), ...more]);
  const answers = [
    '',
    '\0',
    'FOO * HTTP/1.1\r\nA: b\r\n',
    'NOTIFY * HTTP/1.1\r\nNT: a\r\nNTS: b\r\nUSN: c\r\nLOCATION: d\r\n',
    without('USN'),
    without('ST'),
    without('LOCATION'),
    without('LOCATION', 'LOCATION: 1'),
    without('LOCATION', 'LOCATION: https://127.0.0.1/'),
    without('LOCATION', 'LOCATION: http://127.0.0.2/'),
    without('LOCATION', 'LOCATION: http://router.example/'),
    answer([...good, 'X'.repeat(4000)]),
    // A router that says no lifetime is one too.
    without('CACHE-CONTROL'),
    without('USN', 'USN: uuid:second-of-the-same-machine'),
  ];
  const responder: Socket = createSocket('udp4', (question, { port, address }) => {
    expect(question.toString()).toContain(`ST: ${DEVICE}`);
    for (const each of answers) responder.send(each, port, address);
  });
  await new Promise<void>((resolve) => responder.bind(0, '127.0.0.1', resolve));
  closers.push(() => responder.close());
  const target = { address: '127.0.0.1', port: responder.address().port };
  const controller = new AbortController();
  const found: FoundRouter[] = [];
  const search = (async () => {
    for await (const router of searchRouters({ signal: controller.signal, intervalMs: 50, from, target }))
      found.push(router);
  })();
  await waitFor(() => found.length > 0, { what: 'the router' });
  await pause(150);
  controller.abort();
  await search;
  expect(found.map(({ id, location }) => [id, String(location)])).toEqual([['uuid:1', 'http://127.0.0.1:1/d.xml']]);
});

/** The router as js-libp2p's service sees it. */
async function mappedBy(fake: FakeRouter) {
  const found = { id: 'uuid:1', location: fake.location };
  const log = recordingLogger();
  const metrics = new RecordedMetrics();
  const listening = { mapped: () => {} };
  async function* search() {
    yield found;
  }
  const service = await portMapping({ log, metrics, listening, search }, { renewalMs: 60_000, isTrusted: true })();
  const components = { logger: { forComponent: () => () => {} }, nodeInfo: {}, peerId: '' };
  const { portMappingClient } = service(components as unknown as Parameters<typeof service>[0]);
  for await (const gateway of portMappingClient.findGateways()) return { gateway, metrics };
  throw new Error('no router was found');
}

test('a mapping that the router grants while the node stops is removed', async () => {
  const fake = await fakeRouter();
  const { gateway } = await mappedBy(fake);
  const { promise, resolve } = Promise.withResolvers<void>();
  fake.delay = promise;
  const mapping = gateway.map(9905, '192.168.7.2');
  mapping.catch(() => {});
  await waitFor(() => fake.actions.includes('AddAnyPortMapping'), { what: 'the question' });
  await gateway.stop();
  expect(fake.actions).not.toContain('DeletePortMapping');
  resolve();
  await expect(mapping).rejects.toThrow('stopped');
  expect(fake.actions.at(-1)).toBe('DeletePortMapping');
});

test('a mapping is withdrawn from the address that it has, after two changes of the address too', async () => {
  const fake = await fakeRouter();
  const { gateway, metrics } = await mappedBy(fake);
  const mapping = await gateway.map(9905, '192.168.7.2');
  expect(metrics.gaugeValue('teranode_p2p_port_mappings')).toBe(1);
  for (const [before, now] of [
    ['45.10.0.2', '45.10.0.3'],
    ['45.10.0.3', '45.10.0.4'],
  ] as const) {
    await gateway.externalIp();
    fake.ip = now;
    expect(await gateway.externalIp()).toBe(now);
    expect(mapping.externalHost).toBe(before);
  }
  await gateway.stop();
});
