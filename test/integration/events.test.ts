// `/api/v1/events` as programs see it: what they get after a break, what they are told of what they lost, filters, slow
// readers, limits, end.
import { afterEach, describe, expect, test } from 'vitest';
import { EVENT } from '../../src/adapters/http/events/event-schema.ts';
import type { Notification } from '../../src/domain/notification.ts';
import { cutStreams, EventClient, type ReceivedEvent } from '../support/event-source.ts';
import {
  ADMIN_KEY,
  block,
  EPOCH,
  OTHER_ID,
  OWN_ID,
  OWN_STATUS,
  serveHttp,
  stopHttpAfterEach,
  subtree,
} from '../support/http.ts';
import { waitFor } from '../support/wait.ts';
import { RawWebSocket } from '../support/websocket.ts';

stopHttpAfterEach();
afterEach(cutStreams);

const id = (number: number) => `${EPOCH}-${number}`;
const numbersOf = (events: readonly ReceivedEvent[]) => events.map((each) => Number(each.id.split('-')[1]));
const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_each, i) => from + i);
const subtrees = (from: number, to: number) => upTo(from, to).map(subtree);

async function problemOf(address: string, query: string, headers: Record<string, string> = {}) {
  const response = await fetch(`http://${address}/api/v1/events${query}`, { headers });
  return { status: response.status, body: (await response.json()) as { code: string; message: string } };
}

describe('a client that connects', () => {
  test('gets what happens from then on, and its place before the first event', async () => {
    const { address, notifications } = await serveHttp();
    notifications.publish(subtree(1));
    const client = await EventClient.open(address);
    expect([client.lastId, client.retryMs]).toEqual([id(1), 2000]);
    notifications.publish(subtree(2), block(3));
    const events = await client.received(2);
    expect(events.map(({ id, event }) => [id, event])).toEqual([
      [id(2), 'subtree'],
      [id(3), 'block'],
    ]);
    expect(client.response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'access-control-allow-origin': '*',
    });
  });

  test('gets events in one shape on both wires, with texts that can be shown', async () => {
    const { address, notifications } = await serveHttp();
    const client = await EventClient.open(address);
    const header = new Uint8Array(80).fill(7);
    const seen: Notification = { ...block(5), clientName: 'a\u202eb\nc', header, receivedFrom: OWN_ID } as Notification;
    notifications.publish(seen, OWN_STATUS);
    const [first, second] = await client.received(2);
    expect(first?.data).toEqual({
      ...block(5),
      id: id(1),
      clientName: 'ab c',
      header: '07'.repeat(80),
      receivedFrom: OWN_ID,
    });
    expect(second?.data).toMatchObject({ type: 'node_status', startTime: 1_700_000_000, bestHeight: 7, isOwn: true });
    for (const { data } of client.events) EVENT.parse(data);
  });

  test('gets a header as hex, whichever kind of bytes it came in', async () => {
    const { address, notifications } = await serveHttp();
    const client = await EventClient.open(address);
    for (const header of [new Uint8Array(80).fill(7), Buffer.alloc(80, 7)])
      notifications.publish({ ...block(5), header } as Notification);
    expect((await client.received(2)).map(({ data }) => data.header)).toEqual(['07'.repeat(80), '07'.repeat(80)]);
  });

  test('gets only the types that it asks for', async () => {
    const { address, notifications } = await serveHttp();
    const [blocks, two] = await Promise.all([
      EventClient.open(address, '?types=block'),
      EventClient.open(address, '?types=subtree,node_status'),
    ]);
    notifications.publish(subtree(1), block(2), OWN_STATUS, block(4));
    expect(numbersOf((await blocks?.received(2)) ?? [])).toEqual([2, 4]);
    expect(numbersOf((await two?.received(2)) ?? [])).toEqual([1, 3]);
  });

  test('gets a comment now and then while nothing happens', async () => {
    const { address } = await serveHttp({ eventBeatMs: 20 });
    const client = await EventClient.open(address);
    await waitFor(() => client.beats >= 3, { what: 'three comments' });
    expect(client.events).toEqual([]);
  });

  test('asks with HEAD for what it would get, and nothing is streamed', async () => {
    const { address } = await serveHttp();
    const response = await fetch(`http://${address}/api/v1/events`, { method: 'HEAD' });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
  });
});

describe('a client that comes back', () => {
  test.each(['since', 'Last-Event-ID'])('gets exactly what it missed, in order, and what follows (%s)', async (by) => {
    const { address, notifications } = await serveHttp();
    notifications.publish(...subtrees(1, 100));
    const options = by === 'since' ? [`?since=${id(40)}`, {}] : [`?since=${id(1)}`, { 'last-event-id': id(40) }];
    const client = await EventClient.open(address, ...(options as [string, Record<string, string>]));
    await client.received(60);
    notifications.publish(...subtrees(101, 300));
    expect(numbersOf(await client.received(260))).toEqual(upTo(41, 300));
    expect(client.events.every(({ event }) => event === 'subtree')).toBe(true);
  });

  test('gets what it missed after since when its Last-Event-ID is empty', async () => {
    const { address, notifications } = await serveHttp();
    notifications.publish(...subtrees(1, 5));
    const client = await EventClient.open(address, `?since=${id(3)}`, { 'last-event-id': '' });
    expect(client.firstId).toBe(id(3));
  });

  test('is told of how many events are gone, and where it continues', async () => {
    const { address, notifications } = await serveHttp({}, undefined, { maxEvents: 50 });
    notifications.publish(...subtrees(1, 200));
    const client = await EventClient.open(address, `?since=${id(40)}`);
    const [lost, ...events] = await client.received(51);
    expect([lost?.event, lost?.id]).toEqual(['lost', id(40)]);
    expect(lost?.data).toEqual({ type: 'lost', reason: 'not_kept', from: id(40), to: id(150), count: 110 });
    EVENT.parse(lost?.data);
    expect(numbersOf(events)).toEqual(upTo(151, 200));
  });

  test('finds blocks that came before a flood of subtrees', async () => {
    const { address, notifications } = await serveHttp({}, undefined, { maxEvents: 50 });
    notifications.publish(block(1), subtree(2), block(3), ...subtrees(4, 500), block(501));
    const blocks = await EventClient.open(address, `?types=block&since=${id(1)}`);
    expect(numbersOf(await blocks.received(2))).toEqual([3, 501]);
    const all = await EventClient.open(address, `?since=${id(0)}`);
    const [lost, ...events] = await all.received(54);
    expect(lost?.data).toMatchObject({ reason: 'not_kept', from: id(0), to: id(450), count: 448 });
    expect(numbersOf(events)).toEqual([1, 3, ...upTo(451, 501)]);
  });

  test('loses the oldest when the bytes of all events exceed their bound, of the type that takes most', async () => {
    const { address, notifications } = await serveHttp({}, undefined, { maxBytes: 65_536 });
    notifications.publish(block(1), ...subtrees(2, 1000));
    const client = await EventClient.open(address, `?since=${id(0)}`);
    notifications.publish(block(1001));
    const events = await waitFor(() => client.events.at(-1)?.event === 'block' && client.events, {
      what: 'block 1001',
    });
    const [lost, first, ...rest] = events;
    expect([lost?.event, first?.event]).toEqual(['lost', 'block']);
    expect(Number(lost?.data.count) + 1 + rest.length).toBe(1001);
    expect(numbersOf(rest)).toEqual(upTo(1002 - rest.length, 1001));
    expect(rest.length).toBeGreaterThan(50);
  });

  test('is told when the server was started anew, and gets everything since', async () => {
    const { address, notifications } = await serveHttp();
    notifications.publish(...subtrees(1, 3));
    const client = await EventClient.open(address, '?since=epoch0-77');
    const [lost, ...events] = await client.received(4);
    expect(lost).toEqual({
      id: id(0),
      event: 'lost',
      data: { type: 'lost', reason: 'restarted', from: 'epoch0-77', to: id(0) },
    });
    expect(numbersOf(events)).toEqual([1, 2, 3]);
  });

  test('that is cut off before it learns of a restart learns of it when it connects again', async () => {
    const { address, notifications } = await serveHttp();
    notifications.publish(subtree(1));
    for (const since of ['epoch0-77', id(999)]) {
      // A client has the first block before the next one: it would come back with its id.
      const cut = await EventClient.open(address, `?types=reorg&since=${since}`);
      expect(cut.firstId).toBe(since);
      const frames = await RawWebSocket.open(address, { path: `/p2p-ws?types=reorg&since=${since}` });
      await frames.received(2);
      expect(frames.messages()[0]).toMatchObject({ id: since });
    }
  });

  test('is told when its id is ahead of all events, and gets what happens from then on', async () => {
    const { address, notifications } = await serveHttp();
    notifications.publish(subtree(1));
    const client = await EventClient.open(address, `?since=${id(999)}`);
    notifications.publish(subtree(2));
    const [lost, event] = await client.received(2);
    expect(lost?.data).toEqual({ type: 'lost', reason: 'ahead', from: id(999), to: id(1) });
    expect(event?.id).toBe(id(2));
  });

  test.each(['x', 'epoch1', 'epoch1-', 'epoch1--1', 'epoch1-1e3', 'EPOCH1-1', `epoch1-${'9'.repeat(16)}`, '-1'])(
    'is refused with an id that is none: %s',
    async (since) => {
      const { address } = await serveHttp();
      const expected = { status: 400, body: { code: 'INPUT_INVALID', message: expect.stringContaining(since) } };
      expect(await problemOf(address, `?since=${since}`)).toEqual(expected);
      expect(await problemOf(address, '', { 'last-event-id': since })).toEqual(expected);
      await expect(RawWebSocket.open(address, { path: `/p2p-ws?since=${since}` })).rejects.toThrow('400');
    },
  );
});

describe('limits', () => {
  test('a client that does not read loses the oldest, learns how many, and delays nobody', async () => {
    const { address, notifications, metrics } = await serveHttp({}, undefined, { maxEvents: 2000 });
    const [slow, quick] = await Promise.all([EventClient.open(address), EventClient.open(address)]);
    slow?.response.pause();
    const TOTAL = 60_000;
    for (let from = 1; from <= TOTAL; from += 500) {
      notifications.publish(...subtrees(from, from + 499));
      await quick?.received(from + 499);
    }
    expect(numbersOf(quick?.events ?? [])).toEqual(upTo(1, TOTAL));
    slow?.response.resume();
    const events = await waitFor(() => slow?.events.at(-1)?.id === id(TOTAL) && slow.events, {
      what: 'the slow client',
    });
    const told = events.filter(({ event }) => event === 'lost');
    const count = told.reduce((sum, { data }) => sum + Number(data.count), 0);
    expect(told.length).toBeGreaterThan(0);
    expect(count + events.length - told.length).toBe(TOTAL);
    expect(metrics.count('teranode_p2p_sse_events_lost_total')).toBe(count);
    expect(metrics.gaugeValue('teranode_p2p_sse_clients')).toBe(2);
  });

  test('streams and WebSockets share one limit of clients, and one per address', async () => {
    const { address } = await serveHttp({ webSocket: { maxClients: 3, maxPerAddress: 2, bufferFrames: 100 } });
    const client = await EventClient.open(address);
    await RawWebSocket.open(address);
    const refused = await problemOf(address, '');
    expect(refused).toMatchObject({ status: 429, body: { code: 'TOO_MANY_CLIENTS' } });
    client.close();
    await waitFor(async () => (await EventClient.open(address)) !== undefined, { what: 'a free slot' });
  });

  test('a listener that is not on loopback asks for the admin key, unless the events are public', async () => {
    const all = { listenAddress: '0.0.0.0:0' };
    const closed = await serveHttp(all);
    const at = ({ address }: { address: string }) => `127.0.0.1:${address.split(':').at(-1)}`;
    expect((await problemOf(at(closed), '')).status).toBe(401);
    await EventClient.open(at(closed), '', { 'x-api-key': ADMIN_KEY });
    await EventClient.open(at(await serveHttp({ ...all, publicReads: ['events'] })));
  });

  test('an unknown type is refused with the names of all', async () => {
    const { address } = await serveHttp();
    const { status, body } = await problemOf(address, '?types=block,nonsense');
    expect([status, body.message]).toEqual([400, expect.stringMatching(/"nonsense" \(expected block, subtree, /)]);
  });

  test('streams end when the server stops, with all that was published', async () => {
    const { address, notifications, server } = await serveHttp();
    const client = await EventClient.open(address);
    notifications.publish(...subtrees(1, 20));
    await server.stop();
    await waitFor(() => client.isEnded, { what: 'the end of the stream' });
    expect(numbersOf(client.events)).toEqual(upTo(1, 20));
  });
});

describe('a WebSocket', () => {
  const places = (client: RawWebSocket) => client.messages().map(({ id: place }) => place);

  test('that does not ask has the frames that it always had', async () => {
    const { address, notifications } = await serveHttp();
    notifications.publish(subtree(1));
    const client = await RawWebSocket.open(address, { path: '/p2p-ws?types=subtree' });
    notifications.publish({ ...subtree(2), receivedFrom: OTHER_ID } as Notification);
    await client.received(2);
    expect(client.texts().join()).not.toMatch(/"id"|received_?from/i);
  });

  test('with ?ids=1 learns its place with its first frame, and the id of each event', async () => {
    const { address, notifications } = await serveHttp();
    notifications.publish(subtree(1));
    const client = await RawWebSocket.open(address, { path: '/p2p-ws?ids=1' });
    await client.received(1);
    notifications.publish(subtree(2), block(3));
    await client.received(3);
    expect(places(client)).toEqual([id(1), id(2), id(3)]);
    expect(client.texts()[2]).toMatch(/"best_height":0,"block_assembly_details":null,"id":"epoch1-3"}$/);
  });

  test('with ?since= gets exactly what it missed, in order, and what follows', async () => {
    const { address, notifications } = await serveHttp();
    notifications.publish(...subtrees(1, 3000));
    const client = await RawWebSocket.open(address, { path: `/p2p-ws?types=subtree&since=${id(5)}` });
    notifications.publish(...subtrees(3001, 3100));
    await client.received(3096);
    expect(places(client)).toEqual(upTo(5, 3100).map(id));
  });

  test('is told of how many events are gone, and of a restart of the server', async () => {
    const { address, notifications } = await serveHttp({}, undefined, { maxEvents: 50 });
    notifications.publish(...subtrees(1, 200));
    const late = await RawWebSocket.open(address, { path: `/p2p-ws?types=subtree&since=${id(40)}` });
    await late.received(52);
    expect(late.messages()[1]).toEqual({
      ...{ type: 'lost', count: 110, reason: 'not_kept', from: id(40), to: id(150), id: id(40) },
    });
    expect(places(late).slice(2)).toEqual(upTo(151, 200).map(id));
    const stale = await RawWebSocket.open(address, { path: '/p2p-ws?types=subtree&since=older-7' });
    await stale.received(53);
    expect(stale.messages().slice(1, 3)).toEqual([
      { type: 'lost', reason: 'restarted', from: 'older-7', to: id(0), id: id(0) },
      { type: 'lost', count: 150, reason: 'not_kept', from: id(0), to: id(150), id: id(0) },
    ]);
  });

  test('that does not read loses the oldest, learns how many, and stays connected', async () => {
    const { address, notifications } = await serveHttp({}, undefined, { maxEvents: 2000 });
    const client = await RawWebSocket.open(address, { path: '/p2p-ws?types=subtree&ids=1' });
    await client.received(1);
    client.socket.pause();
    const TOTAL = 60_000;
    for (let from = 1; from <= TOTAL; from += 500) {
      notifications.publish(...subtrees(from, from + 499));
      await new Promise((resolve) => setImmediate(resolve));
    }
    client.socket.resume();
    await waitFor(() => places(client).at(-1) === id(TOTAL), { what: 'the last frame' });
    const told = client.messages().filter(({ type }) => type === 'lost');
    const count = told.reduce((sum, each) => sum + Number(each.count), 0);
    expect(told.length).toBeGreaterThan(0);
    expect(count + client.messages().length - told.length - 1).toBe(TOTAL);
  });
});
