// The DataHub client against servers that answer as Teranode's asset service does, wrongly, endlessly or never.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { HttpDataHubClient } from '../../src/adapters/datahub/datahub-client.ts';
import type { Hash, SubtreeHash } from '../../src/domain/ids.ts';
import { hashHeader } from '../../src/wire/header.ts';
import { GENESIS, mineChain } from '../support/mined.ts';

/** The machine may be busy with others. */
const PATIENT = { timeout: 20_000 };
const never = new AbortController().signal;
const chain = [GENESIS.header, ...mineChain(GENESIS.header, 9, 'a')];
const hashOf = (height: number) => hashHeader(chain[height] as Uint8Array);
const upTo = (from: number, to: number) => Buffer.concat(chain.slice(from, to + 1));
const backFrom = (from: number, to: number) => Buffer.concat(chain.slice(to, from + 1).reverse());
const heights = (answer: { ok: boolean; value?: readonly { hash: Hash }[] }) =>
  answer.value?.map(({ hash }) => chain.findIndex((header) => hashHeader(header) === hash));

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A DataHub on loopback; `asked` are the requested paths, `open` the connections. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const sockets = new Set<Socket>();
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(request, response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`;
  return { url, asked, open: () => sockets.size };
}

const sends = (body: Uint8Array, status = 200) =>
  serve((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/octet-stream' }).end(body);
  });

const clientOf = (options: { readonly deadlineMs?: number; readonly allowsPrivate?: boolean } = {}) =>
  new HttpDataHubClient({}, { allowsPrivate: true, userAgent: 'test', ...options });

describe('what a DataHub is asked for', () => {
  test('the best header', async () => {
    const { url, asked } = await sends(upTo(9, 9));
    expect(await clientOf().bestHeader(url, never)).toMatchObject({ ok: true, value: { hash: hashOf(9) } });
    expect(asked).toEqual(['/api/v1/bestblockheader']);
  });

  test('a header by its hash', async () => {
    const { url, asked } = await sends(upTo(4, 4));
    expect(await clientOf().header(url, hashOf(4), never)).toMatchObject({ ok: true, value: { hash: hashOf(4) } });
    expect(asked).toEqual([`/api/v1/header/${hashOf(4)}`]);
  });

  test('headers back from a hash, newest first', async () => {
    const { url, asked } = await sends(backFrom(7, 3));
    expect(heights(await clientOf().headersBack(url, hashOf(7), 5, never))).toEqual([7, 6, 5, 4, 3]);
    expect(asked).toEqual([`/api/v1/headers/${hashOf(7)}?n=5`]);
  });

  test('headers from and to a common ancestor, with a locator', async () => {
    const locator = [hashOf(3), hashOf(0)];
    const query = `block_locator_hashes=${hashOf(3)}${hashOf(0)}&n=100`;
    const from = await sends(upTo(3, 9));
    expect(heights(await clientOf().headersFromAncestor(from.url, hashOf(9), locator, 100, never))).toEqual([
      3, 4, 5, 6, 7, 8, 9,
    ]);
    expect(from.asked).toEqual([`/api/v1/headers_from_common_ancestor/${hashOf(9)}?${query}`]);
    const to = await sends(backFrom(9, 3));
    expect(heights(await clientOf().headersToAncestor(to.url, hashOf(9), locator, 100, never))).toEqual([
      9, 8, 7, 6, 5, 4, 3,
    ]);
    expect(to.asked).toEqual([`/api/v1/headers_to_common_ancestor/${hashOf(9)}?${query}`]);
  });

  test('a block and a subtree', async () => {
    const block = Buffer.concat([upTo(2, 2), Buffer.from('0105000000', 'hex')]);
    const hub = await sends(block);
    expect(await clientOf().block(hub.url, hashOf(2), 1000, never)).toEqual({ ok: true, value: block });
    expect(await clientOf().block(hub.url, hashOf(3), 1000, never)).toMatchObject({ ok: false, fault: 'wrong' });
    const root = 'ab'.repeat(32) as SubtreeHash;
    const nodes = await sends(Buffer.alloc(96, 7));
    expect(await clientOf().subtree(nodes.url, root, 1000, never)).toMatchObject({ ok: true });
    expect(await clientOf().subtree(nodes.url, root, 95, never)).toMatchObject({ ok: false, fault: 'too_long' });
    expect(nodes.asked[0]).toBe(`/api/v1/subtree/${root}`);
  });
});

describe('answers that are no answers', () => {
  test.each([
    ['404', 404, 'not_found'],
    ['500', 500, 'status'],
    ['204', 204, 'status'],
  ])('status %s', async (_text, status, fault) => {
    const { url } = await sends(Buffer.alloc(0), status);
    expect(await clientOf().header(url, hashOf(1), never)).toMatchObject({ ok: false, fault });
  });

  test.each([
    ['no bytes', Buffer.alloc(0)],
    ['79 bytes', upTo(3, 3).subarray(1)],
    ['text', Buffer.from('{"hash":"00"}')],
    ['headers of another hash', backFrom(8, 4)],
    ['headers the wrong way round', upTo(3, 7)],
    ['headers with a gap', Buffer.concat([backFrom(7, 6), backFrom(4, 3)])],
    ['the same header twice', Buffer.concat([upTo(7, 7), upTo(7, 7)])],
    ['headers in a loop', Buffer.concat([upTo(7, 7), upTo(6, 6), upTo(7, 7), upTo(6, 6)])],
  ])('%s', async (_what, body) => {
    const { url } = await sends(body);
    const answer = await clientOf().headersBack(url, hashOf(7), 100, never);
    expect(answer).toMatchObject({ ok: false, fault: 'wrong' });
  });

  test('headers from an ancestor that do not follow from each other', async () => {
    const { url } = await sends(Buffer.concat([upTo(1, 3), upTo(5, 6)]));
    const answer = await clientOf().headersFromAncestor(url, hashOf(6), [hashOf(0)], 100, never);
    expect(answer).toMatchObject({
      ok: false,
      fault: 'wrong',
      details: 'header 3 is not a child of the one before it',
    });
  });

  test('more headers than were asked for', async () => {
    const { url } = await sends(backFrom(7, 0));
    expect(await clientOf().headersBack(url, hashOf(7), 7, never)).toMatchObject({ ok: false, fault: 'too_long' });
  });
});

describe('DataHubs that waste time and memory', () => {
  test('an endless body is left at the bound', async () => {
    let written = 0;
    const { url, open } = await serve((_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024))) written += 64 * 1024;
      };
      response.on('drain', more);
      more();
    });
    expect(await clientOf().headersBack(url, hashOf(7), 100, never)).toMatchObject({ ok: false, fault: 'too_long' });
    await expect.poll(open, PATIENT).toBe(0);
    expect(written).toBeLessThan(16 * 1024 * 1024);
  });

  test('a body byte by byte, and one that never comes, end at the deadline', async () => {
    const timers: NodeJS.Timeout[] = [];
    const slow = await serve((_request, response) => {
      timers.push(setInterval(() => response.write('x'), 20));
    });
    stops.push(() => timers.map(clearInterval));
    const silent = await serve(() => {});
    for (const { url, open } of [slow, silent]) {
      const answer = await clientOf({ deadlineMs: 300 }).bestHeader(url, never);
      expect(answer).toMatchObject({ ok: false, fault: 'timeout' });
      await expect.poll(open, PATIENT).toBe(0);
    }
  });

  test('a body that breaks off is no answer', async () => {
    const { url } = await serve((request, response) => {
      response.writeHead(200, { 'content-length': '80' }).write(Buffer.alloc(10));
      setImmediate(() => request.socket.destroy());
    });
    expect(await clientOf().bestHeader(url, never)).toMatchObject({ ok: false, fault: 'unreachable' });
  });

  test('the caller ends a request at once', async () => {
    const { url, asked, open } = await serve(() => {});
    const ended = new AbortController();
    const answer = clientOf().bestHeader(url, ended.signal);
    await expect.poll(() => asked.length, PATIENT).toBe(1);
    ended.abort();
    expect(await answer).toMatchObject({ ok: false, fault: 'aborted' });
    await expect.poll(open, PATIENT).toBe(0);
  });

  test('redirects are followed five times, and not to other schemes', async () => {
    const loop = await serve((request, response) => response.writeHead(302, { location: request.url }).end());
    expect(await clientOf().bestHeader(loop.url, never)).toMatchObject({ ok: false, fault: 'unreachable' });
    expect(loop.asked).toHaveLength(6);
    const away = await serve((_request, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end());
    expect(await clientOf().bestHeader(away.url, never)).toMatchObject({ ok: false, fault: 'unreachable' });
  });
});

describe('addresses that are not asked', () => {
  test('private ones, unless they are allowed', async () => {
    const { url, asked } = await sends(upTo(9, 9));
    const client = clientOf({ allowsPrivate: false });
    expect(await client.bestHeader(url, never)).toMatchObject({ ok: false, details: '127.0.0.1 is private' });
    expect(await client.bestHeader(url.replace('127.0.0.1', 'localhost'), never)).toMatchObject({ ok: false });
    expect(asked).toEqual([]);
  });

  test.each(['', 'nothing', 'ftp://example.org', 'http://user:pass@example.org/'])('"%s"', async (url) => {
    expect(await clientOf().bestHeader(url, never)).toMatchObject({ ok: false, fault: 'unreachable' });
  });
});
