// Reads a Go deployment's table in SQLite, `bans (key, expiration_time, subnet)`: from the file of our own store, which
// may have been Go's `bans.db`, or from that of `blockchain_store`, where Go keeps it and which is only read.
import { existsSync } from 'node:fs';
import type { LegacyBan } from '../../ports/ban-store.ts';
import { MAX_LEGACY_ROWS, toLegacy } from './ban-rows.ts';
import { type Database, openToRead } from './sqlite.ts';

/** Empty when there is no such table. */
export function readLegacy(database: Database): LegacyBan[] {
  const columns = database.prepare("SELECT lower(name) AS name FROM pragma_table_info('bans')").all();
  const names = new Set(columns.map(({ name }) => name));
  if (!['key', 'expiration_time', 'subnet'].every((name) => names.has(name))) return [];
  return database
    .prepare(
      `SELECT CAST(key AS TEXT) AS key, CAST(subnet AS TEXT) AS subnet, CAST(expiration_time AS TEXT) AS expiration
       FROM bans LIMIT ?`,
    )
    .all(MAX_LEGACY_ROWS)
    .map(toLegacy);
}

/** Empty when there is no such file. Throws SQLite's errors. */
export function readLegacyFile(path: string): LegacyBan[] {
  if (!existsSync(path)) return [];
  const database = openToRead(path);
  try {
    return readLegacy(database);
  } finally {
    database.close();
  }
}
