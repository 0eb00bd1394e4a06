// A disk that is full, as SQLite sees it: what was wrong is told, what was written before stays, and writing goes on
// when there is room.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDatabase, transaction } from '../../src/adapters/sql/sqlite.ts';
import { temporaryFolder } from '../support/cleanup.ts';

test('a transaction on a full disk fails with that reason and leaves nothing behind', () => {
  const database = openDatabase(join(temporaryFolder('full'), 'test.db'));
  database.exec('CREATE TABLE t (bytes BLOB)');
  const write = (bytes: number) =>
    transaction(database, () => database.prepare('INSERT INTO t VALUES (zeroblob(?))').run(bytes));
  const rows = () => database.prepare('SELECT count(*) AS n FROM t').get()?.n;
  write(100);
  database.exec('PRAGMA max_page_count = 10');
  expect(() => write(1_000_000)).toThrow(/full/);
  expect(rows()).toBe(1);
  database.exec('PRAGMA max_page_count = 10000');
  write(1_000_000);
  expect(rows()).toBe(2);
  database.close();
});
