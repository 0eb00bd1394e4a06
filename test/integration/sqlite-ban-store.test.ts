// The store of bans on SQLite: the conformance suite, its file in use or spoilt, and that of a Go deployment.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/adapters/sql/sqlite.ts';
import { SqliteBanStore } from '../../src/adapters/sql/sqlite-ban-store.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { banStoreConformance } from '../support/ban-store-conformance.ts';
import { entry, offence } from '../support/ban-store-samples.ts';
import { temporaryFolder } from '../support/cleanup.ts';

const storeAt = (path: string) => new SqliteBanStore({ log: recordingLogger() }, { path });
const freshPath = () => join(temporaryFolder('bans'), 'deeper', 'bans.db');

describe('SQLite passes the conformance suite of ban stores', () => {
  banStoreConformance(async () => {
    const path = freshPath();
    return {
      store: () => storeAt(path),
      sql: async (text) => {
        const database = openDatabase(path);
        database.exec(text);
        database.close();
      },
    };
  });
});

test('ban stores in memory are independent of each other', async () => {
  const [one, two] = [storeAt(':memory:'), storeAt(':memory:')];
  await Promise.all([one.open(), two.open()]);
  await one.putBan(entry());
  expect([await one.loadBans(), await two.loadBans()]).toEqual([[entry()], []]);
  await Promise.all([one.close(), two.close()]);
});

describe('ban file of a Go deployment', () => {
  const TABLE = 'CREATE TABLE bans (key TEXT PRIMARY KEY, expiration_time TIMESTAMP WITH TIME ZONE, subnet TEXT)';
  const ROW = { key: '10.1.2.3', subnet: '10.1.2.3/32', expiration: '2099-01-02T03:04:05Z' };

  /** As Go leaves it: among other tables, in either journal mode. */
  function goFile(mode: 'DELETE' | 'WAL'): string {
    const path = join(temporaryFolder('go'), 'blockchain.db');
    const database = openDatabase(path);
    database.exec(`PRAGMA journal_mode = ${mode}; CREATE TABLE state (key TEXT PRIMARY KEY, data BLOB); ${TABLE};
      INSERT INTO bans VALUES ('${ROW.key}', '${ROW.expiration}', '${ROW.subnet}')`);
    database.close();
    return path;
  }

  const beside = (path: string, legacyPath: string) =>
    new SqliteBanStore({ log: recordingLogger() }, { path, legacyPath });

  test.each(['DELETE', 'WAL'] as const)('is read once beside our own and not changed (journal %s)', async (mode) => {
    const legacyPath = goFile(mode);
    const before = readFileSync(legacyPath);
    const path = freshPath();
    const store = beside(path, legacyPath);
    await store.open();
    for (let i = 0; i < 2; i += 1) expect(await store.legacyBans()).toEqual([ROW]);
    await store.legacyTaken();
    expect(await store.legacyBans()).toEqual([]);
    await store.close();
    const again = beside(path, legacyPath);
    await again.open();
    expect(await again.legacyBans()).toEqual([]);
    await again.close();
    expect(readFileSync(legacyPath)).toEqual(before);
  });

  test('may be missing or have no ban table', async () => {
    const none = beside(freshPath(), join(temporaryFolder('go'), 'blockchain.db'));
    await none.open();
    expect(await none.legacyBans()).toEqual([]);
    await none.close();
    const chain = freshPath();
    openDatabase(chain).exec('CREATE TABLE headers (id INTEGER)');
    const store = beside(freshPath(), chain);
    await store.open();
    expect(await store.legacyBans()).toEqual([]);
    await store.close();
  });

  test('that cannot be read is logged, does no harm, and is read again later', async () => {
    const legacyPath = join(temporaryFolder('go'), 'blockchain.db');
    writeFileSync(legacyPath, 'no database, but a text that is long enough to be looked at'.repeat(20));
    const log = recordingLogger();
    const store = new SqliteBanStore({ log }, { path: freshPath(), legacyPath });
    await store.open();
    expect(await store.legacyBans()).toEqual([]);
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    await store.legacyTaken();
    copyFileSync(goFile('DELETE'), legacyPath);
    expect(await store.legacyBans()).toEqual([ROW]);
    await store.close();
  });
});

describe('unusable ban file', () => {
  test('is a permanent failure when it is not a database or is a folder', async () => {
    const folder = temporaryFolder('bans');
    writeFileSync(join(folder, 'text.db'), 'no database, but a text that is long enough to be looked at'.repeat(20));
    mkdirSync(join(folder, 'folder.db'));
    for (const name of ['text.db', 'folder.db', 'text.db/bans.db'])
      await expect(storeAt(join(folder, name)).open()).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });

  test('is unavailable while another process locks it, and works afterwards', async () => {
    const path = freshPath();
    const store = storeAt(path);
    await store.open();
    await store.putBan(entry());
    const holder = openDatabase(path);
    holder.exec('BEGIN IMMEDIATE');
    await expect(store.putBan(entry({ key: '203.0.113.8' }))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await expect(store.addOffence(offence())).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    // Readers do not wait for a writer.
    expect(await store.loadBans()).toEqual([entry()]);
    holder.exec('ROLLBACK');
    holder.close();
    expect((await store.addOffence(offence())).score).toBe(10);
    await store.close();
  });

  test('may be opened again after a failure', async () => {
    const path = freshPath();
    const first = storeAt(path);
    await first.open();
    await first.close();
    const holder = openDatabase(path);
    holder.exec('BEGIN IMMEDIATE');
    const store = storeAt(path);
    await expect(store.open()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    holder.close();
    await store.open();
    expect(await store.loadBans()).toEqual([]);
    await store.close();
  });
});
