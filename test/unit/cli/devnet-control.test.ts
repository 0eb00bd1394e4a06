import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ControlServer } from '../../../src/cli/devnet/control.ts';
import type { Order } from '../../../src/cli/devnet/switches.ts';
import { P2PError } from '../../../src/lib/errors.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

const orders: Order[] = [];
let port = 0;

const pages = temporaryFolder('devnet-page');
mkdirSync(join(pages, 'assets'));
for (const [name, content] of [
  ['index.html', 'the page of a node'],
  ['devnet.html', '<p>the page of the network</p>'],
  ['assets/devnet-1.js', 'script()'],
] as const)
  writeFileSync(join(pages, name), content);

const network = {
  run: async (order: Order) => {
    orders.push(order);
    if (order.do === 'ban') throw new P2PError('NOT_DONE', 'node 2 does not answer');
    return { done: order.do };
  },
  state: async () => ({ nodes: [] }),
};
const feed = {
  open: (response: ServerResponse, since: string | null) => {
    if (since === 'full') return false;
    response.end(JSON.stringify({ since }));
    return true;
  },
};
const server = new ControlServer(network, feed, [pages]);

beforeAll(async () => {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  ({ port } = probe.address() as AddressInfo);
  probe.close();
  await once(probe, 'close');
  await server.listen(port);
});

afterAll(() => server.stop());

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

async function askForText({ method = 'POST', path = '/devnet/mine', headers = {}, body = '' }: Asked) {
  const sent = request({
    host: '127.0.0.1',
    port,
    method,
    path,
    headers: { 'content-type': 'application/json', ...headers },
  });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: answer.statusCode, headers: answer.headers, text: await text(answer) };
}

async function ask(asked: Asked) {
  const { status, text: body } = await askForText(asked);
  return { status, body: JSON.parse(body) };
}

describe('the control API of a development network', () => {
  test('tells the state and takes orders', async () => {
    expect(await ask({ method: 'GET', path: '/devnet' })).toEqual({ status: 200, body: { nodes: [] } });
    expect(await ask({ body: '{"node":3}' })).toEqual({ status: 200, body: { done: 'mine' } });
    expect(await ask({ path: '/devnet/liars', headers: { origin: `http://localhost:${port}` } })).toMatchObject({
      status: 200,
    });
    expect(orders).toEqual([{ do: 'mine', node: 3, blocks: 1 }, { do: 'liar' }]);
  });

  test.each([
    ['the name of another site', { headers: { host: 'evil.example' } }, 403],
    ['a name that was bound to loopback', { headers: { host: 'evil.example:9911' } }, 403],
    ['a page of another origin', { headers: { origin: 'http://evil.example' } }, 403],
    ['a page of another port', { headers: { origin: 'http://localhost:1' } }, 403],
    ['a page without an origin', { headers: { origin: 'null' } }, 403],
    ['a form', { headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
    ['text', { headers: { 'content-type': 'text/plain' } }, 415],
    ['a GET to a switch', { method: 'GET' }, 405],
    ['a POST to the state', { path: '/devnet' }, 405],
    ['the page by another name', { path: '/', headers: { host: 'evil.example' }, method: 'GET' }, 403],
    [
      'events for another origin',
      { path: '/devnet/events', headers: { origin: 'http://evil.example' }, method: 'GET' },
      403,
    ],
    ['a POST to the page', { path: '/' }, 405],
    ['a file that the page does not have', { method: 'GET', path: '/assets/../devnet.html' }, 404],
    ['the page of a node', { method: 'GET', path: '/index.html' }, 404],
    ['one page too many', { method: 'GET', path: '/devnet/events?since=full' }, 503],
    ['a path that no URL can have', { method: 'GET', path: '//' }, 400],
    ['an unknown path', { path: '/devnet/nothing' }, 404],
    ['no JSON', { body: '{"node":' }, 400],
    ['an array', { body: '[]' }, 400],
    ['a node that cannot be', { body: '{"node":0}' }, 400],
    ['a large body', { body: `{"x":"${'x'.repeat(5000)}"}` }, 413],
  ] satisfies readonly (readonly [string, Asked, number])[])('refuses %s', async (_name, asked, status) => {
    const before = orders.length;
    expect(await ask(asked)).toMatchObject({ status, body: { message: expect.any(String) } });
    expect(orders).toHaveLength(before);
  });

  test('serves the page, its files and its events, and lets the page load nothing from elsewhere', async () => {
    const page = await askForText({ method: 'GET', path: '/' });
    expect(page).toMatchObject({
      status: 200,
      text: '<p>the page of the network</p>',
      headers: {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': expect.stringMatching(/^default-src 'self';.*frame-ancestors 'none'/),
        'cache-control': 'no-cache',
      },
    });
    const origin = `http://127.0.0.1:${port}`;
    expect(await askForText({ method: 'GET', path: '/assets/devnet-1.js', headers: { origin } })).toMatchObject({
      status: 200,
      text: 'script()',
      headers: { 'cache-control': expect.stringContaining('immutable') },
    });
    expect(await ask({ method: 'GET', path: '/devnet/events?since=x-1' })).toEqual({
      status: 200,
      body: { since: 'x-1' },
    });
  });

  test('answers with what a node refused', async () => {
    const body = '{"node":2,"subject":"127.1.2.3"}';
    expect(await ask({ path: '/devnet/bans', body })).toEqual({
      status: 409,
      body: { message: 'node 2 does not answer' },
    });
  });
});
