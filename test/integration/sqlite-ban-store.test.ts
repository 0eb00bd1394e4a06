import { mkdirSync, writeFileSync } from 'node:fs';
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

describe('SQLite keeps the promises of a store of bans', () => {
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

test('in memory each store is alone', async () => {
  const [one, two] = [storeAt(':memory:'), storeAt(':memory:')];
  await Promise.all([one.open(), two.open()]);
  await one.putBan(entry());
  expect([await one.loadBans(), await two.loadBans()]).toEqual([[entry()], []]);
  await Promise.all([one.close(), two.close()]);
});

describe('a file that cannot be used', () => {
  test('that is no database, or a folder, fails for good', async () => {
    const folder = temporaryFolder('bans');
    writeFileSync(join(folder, 'text.db'), 'no database, but a text that is long enough to be looked at'.repeat(20));
    mkdirSync(join(folder, 'folder.db'));
    for (const name of ['text.db', 'folder.db', 'text.db/bans.db'])
      await expect(storeAt(join(folder, name)).open()).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });

  test('that another process holds is unavailable, and works once it is let go', async () => {
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

  test('open may be called again after a failure', async () => {
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
