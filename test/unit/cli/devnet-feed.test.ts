import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DevnetFeed } from '../../../src/cli/devnet/feed.ts';
import { waitFor } from '../../support/wait.ts';

let feed: DevnetFeed;
let port = 0;
let onRequest: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((asked, response) => onRequest(asked, response));
const cleanups: (() => void)[] = [];

beforeEach(async () => {
  feed = new DevnetFeed();
  onRequest = (asked, response) => {
    const { searchParams } = new URL(asked.url ?? '', 'http://localhost');
    if (!feed.open(response, searchParams.get('since'))) response.writeHead(503).end();
  };
  if (server.listening) return;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});

afterEach(() => {
  for (const each of cleanups.splice(0)) each();
  feed.stop();
});

/** What a client has received so far. */
async function follow(since = '') {
  const sent = request({ host: '127.0.0.1', port, path: `/?since=${since}` }).end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  cleanups.push(() => answer.destroy());
  let text = '';
  answer.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  answer.on('error', () => {});
  const events = () => [...text.matchAll(/^data: (.*)$/gm)].map(([, json = '']) => JSON.parse(json));
  return {
    answer,
    ids: () => [...text.matchAll(/^id: (.*)$/gm)].map(([, id = '']) => id),
    shows: async (count: number) =>
      await waitFor(() => (events().length >= count ? events() : undefined), { what: `${count} events in ${text}` }),
  };
}

const slow = (slowMs: number) => ({ event: 'slow', node: 3, slowMs }) as const;

test('a page gets what happened before, then each event with its text, and movements in between', async () => {
  feed.note(slow(100));
  const page = await follow();
  await page.shows(1);
  feed.move({ event: 'heard', node: 2, from: 'node 1', hash: 'aa' });
  feed.note(slow(0));
  expect(await page.shows(3)).toEqual([
    { ...slow(100), atMs: expect.any(Number), text: 'node 3 delayed by 100 ms' },
    { event: 'heard', node: 2, from: 'node 1', hash: 'aa' },
    { ...slow(0), atMs: expect.any(Number), text: 'node 3 no longer delayed' },
  ]);
});

test('a page that was away goes on after the last event that it has seen, and begins anew after a restart', async () => {
  for (const ms of [1, 2, 3]) feed.note(slow(ms));
  const first = await follow();
  await first.shows(3);
  const [, , second = ''] = first.ids();
  const again = await follow(second);
  expect((await again.shows(1)).map(({ slowMs }) => slowMs)).toEqual([3]);
  const other = await follow('other-2');
  expect((await other.shows(3)).map(({ slowMs }) => slowMs)).toEqual([1, 2, 3]);
});

test('no more than the latest 200 events are kept, and progress of the start is not', async () => {
  for (let ms = 1; ms <= 250; ms += 1) feed.note(slow(ms));
  feed.note({ event: 'progress', ready: 1, connected: 0, of: 2 });
  const page = await follow();
  const events = await page.shows(200);
  expect([events.length, events[0].slowMs, events.at(-1).slowMs]).toEqual([200, 51, 250]);
});

test('a page beyond the twentieth is refused, until another one is closed', async () => {
  const pages = await Promise.all(Array.from({ length: 20 }, () => follow()));
  expect(pages.map(({ answer }) => answer.statusCode)).toEqual(Array.from({ length: 20 }, () => 200));
  expect((await follow()).answer.statusCode).toBe(503);
  pages[0]?.answer.destroy();
  await waitFor(async () => (await follow()).answer.statusCode === 200, { what: 'a place for another page' });
});

test('a page that reads nothing is cut off when too much waits for it', async () => {
  let opened: ServerResponse | undefined;
  const open = onRequest;
  onRequest = (asked, response) => {
    opened = response;
    open(asked, response);
  };
  const { answer } = await follow();
  answer.pause();
  const hash = 'a'.repeat(64);
  const isCut = () => {
    for (let i = 0; i < 1000; i += 1) feed.move({ event: 'heard', node: 2, from: 'node 1', hash });
    return opened?.destroyed === true;
  };
  await waitFor(isCut, { what: 'the end of its connection' });
});
