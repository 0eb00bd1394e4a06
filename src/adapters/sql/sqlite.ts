// Opens SQLite databases; the only file that imports node:sqlite.
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ensurePrivateFile, OWNER_ONLY_FOLDER, takeFromOthers } from '../../lib/private-file.ts';

export type Database = DatabaseSync;

/** How long a statement waits for another process's lock. */
const BUSY_TIMEOUT_MS = 5000;

/** Opens or creates a database; `:memory:` exists in this process only. Throws SQLite's errors. */
export function openDatabase(path: string): Database {
  if (path !== ':memory:') {
    mkdirSync(dirname(path), { recursive: true, mode: OWNER_ONLY_FOLDER });
    ensurePrivateFile(path);
    // SQLite creates them with the mode of the database, but they may be left from an older version.
    for (const suffix of ['-wal', '-shm']) takeFromOthers(path + suffix);
  }
  const database = new DatabaseSync(path);
  database.exec(
    `PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;`,
  );
  return database;
}

/** Opens a file of another program, read-only. Throws SQLite's errors. */
export function openToRead(path: string): Database {
  const database = new DatabaseSync(path, { readOnly: true });
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS / 10}`);
  return database;
}

/** Runs `work` in one transaction; rolled back when it throws. */
export function transaction<T>(database: Database, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // A full disk, for example, has already ended the transaction.
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

/** Opens a database that serves only as a lock: held while it is open, released by the system when the process dies. */
export function openLock(path: string): Database {
  ensurePrivateFile(path);
  const database = new DatabaseSync(path);
  try {
    database.exec(
      'PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;',
    );
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}
