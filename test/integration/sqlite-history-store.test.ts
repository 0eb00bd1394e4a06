// The history on SQLite, in the file of the bans: the conformance suite, and both stores side by side.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/adapters/sql/sqlite.ts';
import { SqliteBanStore } from '../../src/adapters/sql/sqlite-ban-store.ts';
import { SqliteHistoryStore } from '../../src/adapters/sql/sqlite-history-store.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { entry } from '../support/ban-store-samples.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { historyBlock, historyStoreConformance } from '../support/history-store-conformance.ts';

describe('SQLite passes the conformance suite of histories', () => {
  historyStoreConformance(async () => {
    const path = join(temporaryFolder('history'), 'bans.db');
    return {
      store: (node) => new SqliteHistoryStore({ path, node }),
      sql: async (text) => {
        const database = openDatabase(path);
        database.exec(text);
        database.close();
      },
    };
  });
});

test('bans and the history share a file, and either may be closed first', async () => {
  const path = join(temporaryFolder('history'), 'bans.db');
  const bans = new SqliteBanStore({ log: recordingLogger() }, { path });
  const history = new SqliteHistoryStore({ path, node: 'node' });
  await Promise.all([bans.open(), history.open()]);
  await history.write([historyBlock(1)], []);
  await bans.putBan(entry());
  await bans.close();
  expect(await history.blocks({ fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, limit: 1 })).toEqual([historyBlock(1)]);
  await history.close();
  await bans.open();
  expect(await bans.loadBans()).toEqual([entry()]);
  await bans.close();
});
