// Feeds that resume and the history, of running nodes: clients are killed and started again while thousands of messages
// come, and so are servers and databases.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PostgresHistoryStore } from '../../src/adapters/sql/postgres-history-store.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { countingProxy } from '../support/counting-proxy.ts';
import { cutStreams, EventClient } from '../support/event-source.ts';
import { GoPeer } from '../support/go-peer.ts';
import { historyBlock, historyHour, historyStoreConformance } from '../support/history-store-conformance.ts';
import { collectLines } from '../support/json-lines.ts';
import { freePort } from '../support/kafka-broker.ts';
import {
  allTopics,
  blockFields,
  mainnetHeaders,
  PSK,
  privateNetwork,
  servicesAt,
  topicsOf,
} from '../support/network.ts';
import { PostgresServer } from '../support/postgres.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';
import { RawWebSocket } from '../support/websocket.ts';

const READER = fileURLToPath(new URL('../support/event-reader.ts', import.meta.url));
const TYPES = ['block', 'subtree', 'mining_on', 'node_status', 'rejected_tx', 'best_block', 'tip', 'reorg'];
const topics = topicsOf('mainnet');

interface Line {
  readonly id: string;
  readonly number: number;
  readonly event: Readonly<Record<string, unknown>>;
}

/** A client process that can be killed at any time, and the file that it writes. */
class Reader {
  readonly file = join(temporaryFolder('reader'), 'events');
  private child: ChildProcess | undefined;

  async start(httpAddress: string): Promise<void> {
    const args = [
      '--experimental-eventsource',
      '--no-warnings',
      READER,
      `http://${httpAddress}/api/v1/events`,
      this.file,
    ];
    const child = spawn(process.execPath, [...args, ...TYPES], { stdio: ['ignore', 'pipe', 'inherit'] });
    endWithTests(child);
    if (this.child === undefined) stopped.push(() => this.kill());
    this.child = child;
    const output = collectLines(child.stdout);
    await waitFor(() => output.json.some(({ open }) => open === true), { what: 'the stream to open' });
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  lines(): Line[] {
    const text = existsSync(this.file) ? readFileSync(this.file, 'utf8') : '';
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    return whole
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const at = line.indexOf(' ');
        const id = line.slice(0, at);
        return { id, number: Number(id.split('-')[1]), event: JSON.parse(line.slice(at + 1)) };
      });
  }

  subtrees(): string[] {
    return this.lines().flatMap(({ event }) => (event.type === 'subtree' ? [String(event.hash)] : []));
  }
}

const stopped: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  cutStreams();
  await Promise.all(stopped.splice(0).map((stop) => stop()));
});

async function startServer(settings: Record<string, string>, dataFolder?: string): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    settings: { ...privateNetwork('mainnet'), p2p_author_rate: '0', logLevel: 'INFO', ...settings },
    ...(dataFolder === undefined ? {} : { dataFolder }),
  });
  stopped.push(() => server.stop());
  return server;
}

/** A Go peer in the mesh of the server. */
async function joined(server: ServerProcess): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet'), discard: true, outboundQueue: 20_000 });
  stopped.push(() => peer.stop());
  await peer.connect(server.address);
  for (const topic of [topics.block, topics.subtree]) {
    const isIn = async () => (await peer.mesh()).mesh[topic]?.includes(server.peerId);
    await waitFor(isIn, { what: `the mesh of ${topic}` });
  }
  return peer;
}

const sequence = (from: number, count: number) => Array.from({ length: count }, (_each, i) => from + i);

/** Every number once, in order, and no gap was told of. */
function expectWhole(lines: readonly Line[]): void {
  const first = lines[0]?.number ?? 0;
  expect(lines.filter(({ event }) => event.type === 'lost')).toEqual([]);
  expect(lines.map(({ number }) => number)).toEqual(sequence(first, lines.length));
}

describe('a client of Server-Sent Events', () => {
  test('that is killed five times while thousands of messages come loses nothing', async () => {
    const server = await startServer({ p2p_events_kept: '20000' });
    const peer = await joined(server);
    const reader = new Reader();
    await reader.start(server.ready.httpAddress);
    const COUNT = 6000;
    const flood = peer.publishMany({ topic: topics.subtree, subtrees: COUNT, ratePerSecond: 500 });
    for (const seen of [300, 1200, 2200, 3300, 4500]) {
      await waitFor(() => reader.subtrees().length >= seen, { what: `${seen} subtrees`, timeoutMs: 60_000 });
      await reader.kill();
      const before = await server.metric('teranode_p2p_notifications_total', 'type="subtree"');
      const missed = async () =>
        (await server.metric('teranode_p2p_notifications_total', 'type="subtree"')) > before + 50;
      await waitFor(missed, { what: 'events that nobody reads' });
      await reader.start(server.ready.httpAddress);
    }
    await flood;
    await waitFor(() => reader.subtrees().length >= COUNT, { what: 'all subtrees', timeoutMs: 60_000 });
    expect(new Set(reader.subtrees()).size).toBe(COUNT);
    expectWhole(reader.lines());
  });

  test('that comes back beyond the bound is told how many events it lost', async () => {
    const server = await startServer({ p2p_events_kept: '500' });
    const peer = await joined(server);
    const reader = new Reader();
    await reader.start(server.ready.httpAddress);
    await peer.publishMany({ topic: topics.subtree, subtrees: 100, ratePerSecond: 500 });
    await waitFor(() => reader.subtrees().length === 100, { what: '100 subtrees' });
    await reader.kill();
    const COUNT = 3000;
    await peer.publishMany({ topic: topics.subtree, subtrees: COUNT, first: 100, ratePerSecond: 1000 });
    const came = () => server.metric('teranode_p2p_notifications_total', 'type="subtree"');
    await waitFor(async () => (await came()) === COUNT + 100, { what: 'all subtrees', timeoutMs: 60_000 });
    await reader.start(server.ready.httpAddress);
    await waitFor(() => reader.subtrees().length === 600, { what: 'the events that are kept' });
    const lost = reader.lines().filter(({ event }) => event.type === 'lost');
    expect(lost.map(({ event }) => [event.reason, event.count])).toEqual([['not_kept', COUNT - 500]]);
    const numbers = reader.lines().flatMap(({ event, number }) => (event.type === 'lost' ? [] : [number]));
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    // What it has and what it was told of is everything.
    expect((numbers.at(-1) ?? 0) - (numbers[0] ?? 0) + 1).toBe(numbers.length + COUNT - 500);
  });

  test('that stays while the server is started again is told so, and gets what comes after the new start', async () => {
    const settings = { p2p_http_listen_address: `127.0.0.1:${await freePort()}` };
    const first = await startServer(settings);
    const reader = new Reader();
    await reader.start(first.ready.httpAddress);
    await (await joined(first)).publishMany({ topic: topics.subtree, subtrees: 50, ratePerSecond: 500 });
    await waitFor(() => reader.subtrees().length === 50, { what: '50 subtrees' });
    const { code } = await first.stop();
    expect(code).toBe(0);
    const { id: lastId } = reader.lines().at(-1) as Line;
    const second = await startServer(settings, first.dataFolder);
    const isTold = () => reader.lines().find(({ event }) => event.reason === 'restarted');
    const told = await waitFor(isTold, { what: 'the notice of the restart', timeoutMs: 30_000 });
    expect(told.event).toMatchObject({ type: 'lost', from: lastId });
    expect(told.event).not.toHaveProperty('count');
    await (await joined(second)).publishMany({ topic: topics.subtree, subtrees: 50, first: 50, ratePerSecond: 500 });
    await waitFor(() => reader.subtrees().length === 100, { what: '50 more subtrees' });
    const after = reader.lines().slice(reader.lines().findIndex(({ event }) => event.reason === 'restarted') + 1);
    expect(after.map(({ number }) => number)).toEqual(sequence(1, after.length));
    expect(new Set(after.map(({ id }) => id.split('-')[0])).size).toBe(1);
  });
});

test('a reorganisation of three blocks is one event with the right fork, live and for clients that come later', async () => {
  const services = await ReferenceServiceProcess.start();
  stopped.push(() => services.stop());
  const server = await startServer({ ...privateNetwork('regtest'), ...servicesAt(services.address) });
  const { httpAddress } = server.ready;
  const live = await EventClient.open(httpAddress, '?types=tip,reorg');
  const liveSocket = await RawWebSocket.open(httpAddress, { path: '/p2p-ws?types=tip,reorg&ids=1' });
  const begin = live.lastId;
  const tips = (client: EventClient) =>
    client.events.filter(({ event }) => event === 'tip').map(({ data }) => data.hash);
  const fork = await services.mine(1);
  const old = await services.mine(3);
  await waitFor(() => tips(live).includes(old.hash), { what: 'the old tip' });
  let best = fork;
  // Three blocks of the other part of the network change nothing; the fourth has more work.
  for (let i = 0; i < 4; i += 1) best = await services.mine(1, best.hash);
  await waitFor(() => tips(live).includes(best.hash), { what: 'the new tip' });
  const point = ({ hash, height }: { hash: string; height: number }) => ({ hash, height });
  const reorg = { from: point(old), to: point(best), fork: point(fork) };
  const late = await EventClient.open(httpAddress, `?types=tip,reorg&since=${begin}`);
  const lateSocket = await RawWebSocket.open(httpAddress, { path: `/p2p-ws?types=tip,reorg&since=${begin}` });
  await late.received(live.events.length);
  expect(late.events).toEqual(live.events);
  for (const client of [live, late]) {
    const told = client.events.filter(({ event }) => event === 'reorg');
    expect(told.map(({ data }) => data)).toEqual([
      { ...reorg, type: 'reorg', isOwn: true, id: told[0]?.id, atMs: expect.any(Number) },
    ]);
  }
  for (const client of [liveSocket, lateSocket]) {
    await client.received(1 + live.events.length);
    const told = client.messages().filter(({ type }) => type === 'reorg');
    expect(told).toEqual([{ ...reorg, type: 'reorg', timestamp: expect.any(String), id: expect.any(String) }]);
  }
  expect(lateSocket.texts().slice(1)).toEqual(liveSocket.texts().slice(1));
});

describe('the history', () => {
  let database: PostgresServer;
  let databases = 0;

  beforeAll(async () => {
    database = await PostgresServer.create();
  });

  afterAll(async () => {
    await database.remove();
  });

  async function freshDatabase(): Promise<string> {
    databases += 1;
    await database.createDatabase(`history${databases}`);
    return `history${databases}`;
  }

  describe('PostgreSQL passes the conformance suite of histories', () => {
    historyStoreConformance(async () => {
      const name = await freshDatabase();
      return {
        store: (node) => new PostgresHistoryStore({ log: recordingLogger() }, { url: database.url(name), node }),
        sql: (text) => database.sql(text, name),
      };
    });
  });

  test('what waited for PostgreSQL is written in a few round trips, however far away it is', async () => {
    const name = await freshDatabase();
    const proxy = await countingProxy(`127.0.0.1:${database.port}`);
    const url = database.url(name).replace(String(database.port), String(proxy.address.split(':')[1]));
    const store = new PostgresHistoryStore({ log: recordingLogger() }, { url, node: 'node' });
    stopped.push(() => store.close().then(() => proxy.stop()));
    await store.open();
    const opened = proxy.requests();
    const blocks = sequence(0, 200).map((number) => historyBlock(number));
    const messages = sequence(0, 30).map((number) => ({
      topic: `topic ${number}`,
      result: 'processed',
      count: number,
    }));
    const hours = sequence(0, 48).map((number) => historyHour(number, { messages, tipHeight: undefined }));
    await store.write(blocks, hours);
    // With 3 s for all, 1,700 of them are too many at 2 ms each.
    expect(proxy.requests() - opened).toBeLessThan(20);
    const all = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, limit: 1000 };
    expect(await store.blocks(all)).toEqual(blocks.toReversed());
    expect((await store.hours(all)).map((hour) => hour.messages.length)).toEqual(hours.map(() => 30));
  });

  async function rows(server: ServerProcess, kind: 'blocks' | 'hours'): Promise<Record<string, unknown>[]> {
    const { body } = await server.get(`/api/v1/history/${kind}`);
    return (JSON.parse(body) as Record<string, Record<string, unknown>[]>)[kind] ?? [];
  }

  test.each(['SQLite', 'PostgreSQL'])(
    'in %s has a block that a Go peer announced, also after a restart',
    async (kind) => {
      const store = kind === 'SQLite' ? {} : { p2p_ban_store: database.url(await freshDatabase()) };
      const settings = { p2p_history_days: '3', ...store };
      const first = await startServer(settings);
      const [one, two] = [await joined(first), await joined(first)];
      const header = mainnetHeaders()[2];
      if (header === undefined) throw new Error('no header 2');
      await one.publish(topics.block, JSON.stringify(blockFields(header, 2, one.peerId)));
      const events = await EventClient.open(first.ready.httpAddress, '?types=block&since=x-0');
      await events.received(2);
      await two.publish(topics.block, JSON.stringify(blockFields(header, 2, two.peerId)));
      await events.received(3);
      expect(events.events.slice(1).map(({ data }) => data.peerId)).toEqual([one.peerId, two.peerId]);
      expect((await first.stop()).code).toBe(0);
      const second = await startServer(settings, first.dataFolder);
      const [block] = await waitFor(
        async () => (await second.get('/api/v1/history/blocks')).status === 200 && rows(second, 'blocks'),
        { what: 'the history' },
      );
      const known = { height: 2, author: one.peerId, receivedFrom: one.peerId, announcers: 2 };
      expect(block).toMatchObject({ ...known, firstSeenMs: events.events[1]?.data.atMs });
      const [hour] = await rows(second, 'hours');
      const counted = hour?.messages as { topic: string; result: string; count: number }[];
      expect(counted).toContainEqual({ topic: topics.block, result: 'processed', count: 2 });
    },
  );

  test('while PostgreSQL is down gossip goes on, and what came meanwhile is written later', async () => {
    const url = database.url(await freshDatabase());
    const server = await startServer({ p2p_history_days: '3', p2p_ban_store: url });
    const peer = await joined(server);
    await waitFor(async () => (await server.get('/api/v1/history/blocks')).status === 200, { what: 'the history' });
    await database.stop();
    const header = mainnetHeaders()[3];
    if (header === undefined) throw new Error('no header 3');
    await peer.publish(topics.block, JSON.stringify(blockFields(header, 3, peer.peerId)));
    await peer.publishMany({ topic: topics.subtree, subtrees: 500, ratePerSecond: 500 });
    const came = () => server.metric('teranode_p2p_notifications_total', 'type="subtree"');
    await waitFor(async () => (await came()) === 500, { what: 'all subtrees' });
    const failed = () => server.metric('teranode_p2p_history_writes_total', 'result="failed"');
    await waitFor(async () => (await failed()) > 0, { what: 'a write that failed', timeoutMs: 60_000 });
    expect((await server.get('/api/v1/history/blocks')).status).toBe(503);
    await database.start();
    const written = async () => (await rows(server, 'blocks')).length === 1;
    await waitFor(written, { what: 'the block', timeoutMs: 60_000 });
    expect(await rows(server, 'blocks')).toMatchObject([{ height: 3, author: peer.peerId }]);
  });

  test('is off by default, which its routes say', async () => {
    const server = await startServer({});
    const { status, body } = await server.get('/api/v1/history/hours');
    expect([status, JSON.parse(body)]).toEqual([
      404,
      { code: 'NOT_FOUND', message: expect.stringContaining('p2p_history_days') },
    ]);
  });
});
