// Stores of bans when things go wrong: PostgreSQL stops, hangs, falls silent or is shared; a process that writes SQLite
// is killed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PostgresBanStore } from '../../src/adapters/sql/postgres-ban-store.ts';
import { openDatabase } from '../../src/adapters/sql/sqlite.ts';
import { SqliteBanStore } from '../../src/adapters/sql/sqlite-ban-store.ts';
import type { StoreChange } from '../../src/ports/ban-store.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { banStoreConformance } from '../support/ban-store-conformance.ts';
import { entry, offence, PEER } from '../support/ban-store-samples.ts';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { collectLines } from '../support/json-lines.ts';
import { PostgresServer } from '../support/postgres.ts';
import { waitFor } from '../support/wait.ts';

/** A call's three seconds, and as long again for a busy machine; what hangs takes nine. */
const SETTLES_MS = 6000;
/** A second, and what a busy machine adds. */
const HEARD_MS = 3000;
const AWAY = { code: 'STORE_UNAVAILABLE' };

let server: PostgresServer;
let databases = 0;
const opened: PostgresBanStore[] = [];

beforeAll(async () => {
  server = await PostgresServer.create();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  await server.start();
});

afterAll(async () => {
  await server.remove();
});

async function freshDatabase(): Promise<string> {
  databases += 1;
  await server.createDatabase(`bans${databases}`);
  return `bans${databases}`;
}

function storeAt(url: string): PostgresBanStore {
  const store = new PostgresBanStore({ log: recordingLogger() }, { url });
  opened.push(store);
  return store;
}

async function openAt(url: string): Promise<PostgresBanStore> {
  const store = storeAt(url);
  await store.open();
  return store;
}

function heardBy(store: PostgresBanStore): StoreChange[] {
  const heard: StoreChange[] = [];
  store.subscribe((change) => heard.push(change));
  return heard;
}

/** Rejects as unavailable, in time. */
async function expectAway(call: Promise<unknown>, withinMs = SETTLES_MS): Promise<void> {
  const startedMs = performance.now();
  await expect(call).rejects.toMatchObject(AWAY);
  expect(performance.now() - startedMs).toBeLessThan(withinMs);
}

const sockets = () => process.getActiveResourcesInfo().filter((each) => each === 'TCPSocketWrap').length;

describe('PostgreSQL passes the conformance suite of ban stores', () => {
  banStoreConformance(async () => {
    const database = await freshDatabase();
    return {
      store: () => new PostgresBanStore({ log: recordingLogger() }, { url: server.url(database) }),
      sql: (text) => server.sql(text, database),
    };
  });
});

describe('SQLite passes the conformance suite of ban stores', () => {
  banStoreConformance(async () => {
    const path = join(temporaryFolder('bans'), 'bans.db');
    return {
      store: () => new SqliteBanStore({ log: recordingLogger() }, { path }),
      sql: async (text) => {
        const database = openDatabase(path);
        database.exec(text);
        database.close();
      },
    };
  });
});

describe('several servers on one ban database', () => {
  test('open an empty database at the same time', async () => {
    const url = server.url(await freshDatabase());
    const stores = Array.from({ length: 8 }, () => storeAt(url));
    await Promise.all(stores.map((store) => store.open()));
    await Promise.all(stores.map((store, i) => store.putBan(entry({ key: `key${i}` }))));
    expect(await stores[0]?.loadBans()).toHaveLength(8);
  });

  test('receive each other’s changes within a second, but not their own', async () => {
    const url = server.url(await freshDatabase());
    const [one, two] = [await openAt(url), await openAt(url)];
    const [byOne, byTwo] = [heardBy(one), heardBy(two)];
    const longKey = 'k'.repeat(2000) + '"'.repeat(1500);
    const steps: [() => Promise<unknown>, StoreChange][] = [
      [() => one.putBan(entry({ key: `it's "odd" \n ☂` })), { type: 'ban', key: `it's "odd" \n ☂` }],
      [() => one.removeBan(`it's "odd" \n ☂`), { type: 'ban', key: `it's "odd" \n ☂` }],
      [() => one.addOffence(offence({ subject: 's' })), { type: 'score', subject: 's' }],
      [() => one.resetScores(['s']), { type: 'score', subject: 's' }],
      [() => one.putBan(entry({ key: longKey })), { type: 'all' }],
      [() => one.clearBans(), { type: 'all' }],
    ];
    for (const [change, heard] of steps) {
      byTwo.length = 0;
      await change();
      await waitFor(() => byTwo.length > 0, { timeoutMs: HEARD_MS, what: JSON.stringify(heard).slice(0, 100) });
      expect(byTwo).toEqual([heard]);
    }
    // A write without a change notifies no server; a mark after it shows that nothing else is on its way.
    byTwo.length = 0;
    for (const idle of [one.removeBan('none'), one.clearBans(), one.resetScores(['none'])]) await idle;
    await one.putBan(entry({ key: 'mark' }));
    await waitFor(() => byTwo.length > 0, { timeoutMs: HEARD_MS, what: 'the mark' });
    expect(byTwo).toEqual([{ type: 'ban', key: 'mark' }]);
    await two.putBan(entry({ key: 'back' }));
    await waitFor(() => byOne.length > 0, { timeoutMs: HEARD_MS, what: 'the way back' });
    expect(byOne).toEqual([{ type: 'ban', key: 'back' }]);
  });

  test('add, reset and purge at the same time without failures', async () => {
    const url = server.url(await freshDatabase());
    const stores = [await openAt(url), await openAt(url)];
    await Promise.all(
      stores.map(async (store, i) => {
        for (let round = 0; round < 60; round += 1) {
          const atMs = 1_700_000_000_000 + round * 60_000;
          const role = (round + i) % 2 === 0 ? 'author' : 'relay';
          await Promise.all([
            store.addOffence(offence({ subject: `s${round % 3}`, role, points: 1, atMs })),
            store.addOffence(offence({ subject: `s${(round + i) % 3}`, role: 'datahub', points: 1, atMs })),
            round % 5 === i ? store.resetScores([`s${round % 3}`]) : store.purge(atMs),
          ]);
        }
      }),
    );
    while ((await stores[0]?.purge(1_800_000_000_000)) === 'more');
    expect(await stores[1]?.loadScores()).toEqual({ scores: [], offences: [] });
  });

  test('remove nothing that others need when one clock is hours ahead', async () => {
    const url = server.url(await freshDatabase());
    const [right, ahead] = [await openAt(url), await openAt(url)];
    const nowMs = Date.now();
    const ban = entry({ untilMs: nowMs + 1_800_000, createdAtMs: nowMs, source: 'operator', causedBy: undefined });
    const seen = { address: '203.0.113.7', peerId: PEER, lastSeenMs: nowMs };
    await right.putBan(ban);
    await right.addOffence(offence({ atMs: nowMs }));
    await right.putAddress(seen);
    while ((await ahead.purge(nowMs + 48 * 3_600_000)) === 'more');
    expect(await right.loadBans()).toEqual([ban]);
    expect((await right.loadScores()).scores).toHaveLength(1);
    expect(await right.loadAddressesAt(seen.address)).toEqual([seen]);
  });

  test('report each ban that is lifted together with its peer', async () => {
    const url = server.url(await freshDatabase());
    const [one, two] = [await openAt(url), await openAt(url)];
    await one.putBan(entry({ key: PEER, kind: 'peer', causedBy: undefined }));
    await one.putBan(entry());
    const before = heardBy(two);
    await one.putBan(entry({ key: 'mark', causedBy: undefined }));
    await waitFor(() => before.some((change) => change.type === 'ban' && change.key === 'mark'), { what: 'the mark' });
    const heard = heardBy(two);
    await one.removeBan(PEER);
    const keys = () => heard.map((change) => (change.type === 'ban' ? change.key : change.type));
    await waitFor(() => keys().includes(entry().key) && keys().includes(PEER), { timeoutMs: HEARD_MS, what: 'both' });
    expect(await two.loadBans()).toMatchObject([{ key: 'mark' }]);
  });

  test('add missing indexes to older tables, and work without the right to create them', async () => {
    const database = await freshDatabase();
    const url = server.url(database);
    await openAt(url);
    const indexes = async () => {
      const client = new Client({ connectionString: url });
      await client.connect();
      const { rows } = await client.query("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'teranode%by_end'");
      await client.end();
      return rows.length;
    };
    expect(await indexes()).toBe(2);
    await server.sql('DROP INDEX teranode_p2p_scores_by_end, teranode_p2p_bans_by_end', database);
    await server.sql(
      `CREATE ROLE reader_${database} LOGIN;
       GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO reader_${database}`,
      database,
    );
    const guest = await openAt(url.replace('postgres@', `reader_${database}@`));
    expect(await guest.purge(0)).toBe('done');
    expect(await indexes()).toBe(0);
    await openAt(url);
    expect(await indexes()).toBe(2);
  });

  test('purge 400,000 decayed scores in short steps while writes go on', async () => {
    const database = await freshDatabase();
    const store = await openAt(server.url(database));
    await server.sql(
      `INSERT INTO teranode_p2p_scores SELECT 's' || md5(i::text), 'author', 20, 1000 FROM generate_series(1, 400000) i;
       INSERT INTO teranode_p2p_offences (subject, role, reason, points, rule, topic, at_ms)
       SELECT 's' || md5(i::text), 'author', 'spam', 20, 'r', 't', 1000 FROM generate_series(1, 400000) i; ANALYZE`,
      database,
    );
    let steps = 0;
    for (let next = 'more'; next === 'more'; steps += 1) {
      next = await store.purge(Date.now());
      if (steps % 100 === 0) await store.putBan(entry({ key: `key${steps}` }));
    }
    expect(steps).toBeGreaterThan(400);
    expect((await store.loadScores()).offences).toEqual([]);
  });

  test('need no right to create once the tables exist', async () => {
    const database = await freshDatabase();
    await openAt(server.url(database));
    await server.sql(
      `CREATE ROLE guest_${database} LOGIN;
       GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest_${database}`,
      database,
    );
    const guest = await openAt(server.url(database).replace('postgres@', `guest_${database}@`));
    await guest.putBan(entry());
    await guest.addOffence(offence());
    expect(await guest.loadBans()).toEqual([entry()]);
  });

  test('a database that does not exist is a permanent failure', async () => {
    await expect(storeAt(server.url('none')).open()).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await expect(storeAt('postgres://[').open()).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });
});

describe('PostgreSQL down', () => {
  test.each(['stop', 'kill'] as const)(
    'after %s, calls fail in time; once it is back, they work and everything is read again',
    async (how) => {
      const url = server.url(await freshDatabase());
      const store = await openAt(url);
      await store.putBan(entry());
      const heard = heardBy(store);
      await server[how]();
      await expectAway(store.loadBans());
      await Promise.all([
        expectAway(store.putBan(entry({ key: 'lost' }))),
        expectAway(store.addOffence(offence())),
        expectAway(store.purge(0)),
      ]);
      const second = storeAt(url);
      await expectAway(second.open());
      expect(heard).toEqual([]);
      await server.start();
      await second.open();
      expect(await store.loadBans()).toEqual([entry()]);
      await waitFor(() => heard.length > 0, { what: 'the new connection' });
      expect(heard).toEqual([{ type: 'all' }]);
      await second.putBan(entry({ key: 'new' }));
      await waitFor(() => heard.length > 1, { timeoutMs: HEARD_MS, what: 'a notification on it' });
      expect(heard[1]).toEqual({ type: 'ban', key: 'new' });
    },
  );

  test('waiting for a lock ends in time and loses no connection', async () => {
    const url = server.url(await freshDatabase());
    const store = await openAt(url);
    const holder = new Client({ connectionString: url });
    await holder.connect();
    await holder.query('BEGIN; LOCK TABLE teranode_p2p_bans IN ACCESS EXCLUSIVE MODE');
    // More than there are connections.
    await Promise.all(Array.from({ length: 12 }, (_each, i) => expectAway(store.putBan(entry({ key: `key${i}` })))));
    await holder.query('ROLLBACK');
    await holder.end();
    await store.putBan(entry());
    expect(await store.loadBans()).toEqual([entry()]);
  });
});

describe('a silent network to PostgreSQL', () => {
  test('is noticed within seconds; calls and close end in time, and nothing stays open', async () => {
    const database = await freshDatabase();
    const before = sockets();
    const network = await SilentNetwork.before(server.port);
    const url = server.url(database).replace(String(server.port), String(network.port));
    const store = await openAt(url);
    const other = await openAt(server.url(database));
    const heard = heardBy(store);
    network.isSilent = true;
    await other.putBan(entry({ key: 'unheard' }));
    await Promise.all([
      expectAway(store.loadBan('unheard')),
      expectAway(store.loadBans()),
      expectAway(storeAt(url).open(), 2 * SETTLES_MS),
    ]);
    await waitFor(() => network.cut > 0, { what: 'the end of the dead connections' });
    network.isSilent = false;
    await waitFor(() => heard.length > 0, { what: 'the new connection' });
    expect(heard).toEqual([{ type: 'all' }]);
    expect(await store.loadBans()).toHaveLength(1);
    network.isSilent = true;
    const startedMs = performance.now();
    const call = expectAway(store.loadBan('unheard'));
    await Promise.all([store.close(), store.close(), other.close(), call]);
    expect(performance.now() - startedMs).toBeLessThan(SETTLES_MS);
    await network.close();
    await waitFor(() => sockets() <= before, { what: 'the end of all sockets' });
  });
});

test('a killed writer leaves a store with everything it reported, in order', async () => {
  const path = join(temporaryFolder('killed'), 'bans.db');
  const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve('../support/ban-writer.ts')), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithTests(child);
  const { json } = collectLines(child.stdout);
  await waitFor(() => json.length >= 1500, { timeoutMs: 30_000, what: '1,500 bans' });
  child.kill('SIGKILL');
  await once(child, 'close');
  const last = json.at(-1)?.written;
  const store = new SqliteBanStore({ log: recordingLogger() }, { path });
  await store.open();
  const kept = (await store.loadBans()).map(({ key }) => Number(key.slice('key'.length))).sort((a, b) => a - b);
  expect(kept).toEqual(Array.from({ length: kept.length }, (_each, i) => i));
  expect(kept.length - 1).toBeGreaterThanOrEqual(Number(last));
  await store.putBan(entry());
  await store.close();
});

/** Forwards bytes to a port; while silent, it swallows them. */
class SilentNetwork {
  readonly port: number;
  isSilent = false;
  /** Connections that the client's side has ended. */
  cut = 0;
  private readonly server: Server;
  private readonly open = new Set<Socket>();

  private constructor(server: Server, port: number, target: number) {
    this.server = server;
    this.port = port;
    server.on('connection', (near) => this.carry(near, connect(target, '127.0.0.1')));
  }

  static async before(target: number): Promise<SilentNetwork> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return new SilentNetwork(server, address.port, target);
  }

  async close(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private carry(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.open.add(from);
      from.on('data', (bytes) => {
        if (!this.isSilent) to.write(bytes);
      });
      from.on('error', () => {});
      from.on('close', () => {
        this.open.delete(from);
        if (from === near) this.cut += 1;
        to.destroy();
      });
    }
  }
}
