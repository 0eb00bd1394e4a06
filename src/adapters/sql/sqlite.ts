// Opens SQLite databases; the only file that imports node:sqlite.
import { closeSync, mkdirSync, openSync, readdirSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { ensurePrivateFile, OWNER_ONLY_FOLDER, takeFromOthers } from '../../lib/private-file.ts';

export type Database = DatabaseSync;

/** How long a statement waits for another process's lock. */
const BUSY_TIMEOUT_MS = 5000;

/** SQLite is loaded with the first database: programs that import this package for something else have none. */
function connect(path: string, options: { readonly readOnly?: boolean } = {}): Database {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  return new DatabaseSync(path, options);
}

/** Opens or creates a database; `:memory:` exists in this process only. Throws SQLite's errors. */
export function openDatabase(path: string): Database {
  if (path !== ':memory:') {
    mkdirSync(dirname(path), { recursive: true, mode: OWNER_ONLY_FOLDER });
    ensurePrivateFile(path);
    // SQLite creates them with the mode of the database, but they may be left from an older version.
    for (const suffix of ['-wal', '-shm']) takeFromOthers(path + suffix);
  }
  const database = connect(path);
  database.exec(
    `PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;`,
  );
  return database;
}

/** Opens a file of another program, read-only. Throws SQLite's errors. */
export function openToRead(path: string): Database {
  const database = connect(path, { readOnly: true });
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS / 10}`);
  return database;
}

/**
 * Copies a database, with what is still in its log, into a new file; another process may be writing it. Throws SQLite's
 * errors.
 */
export function copyDatabase(path: string, target: string): void {
  const database = openToRead(path);
  try {
    database.prepare('VACUUM INTO ?').run(target);
  } finally {
    database.close();
  }
}

/** The format of a database file (sqlite.org/fileformat2.html): its first bytes, and its first page of tables. */
const MAGIC = 'SQLite format 3\0';
const HEAD_BYTES = 108;
const TABLE_LEAF = { offset: 100, type: 0x0d, cellsOffset: 103 } as const;

export function isDatabase(path: string): boolean {
  return headOf(path)?.toString('latin1', 0, MAGIC.length) === MAGIC;
}

/**
 * Databases of a folder without a table and without a log: what a plain copy of a running node's `*.db` files is, whose
 * contents were in the logs. Never throws. `except` is not read: closing a file ends all locks that this process has on
 * it, and so it does for a database that is open.
 */
export function emptyCopies(folder: string, except: string): string[] {
  try {
    const names = readdirSync(folder);
    return names.filter((name) => {
      if (!name.endsWith('.db') || name === except || names.includes(`${name}-wal`)) return false;
      const head = headOf(join(folder, name));
      const hasNoTable =
        head?.[TABLE_LEAF.offset] === TABLE_LEAF.type && head.readUInt16BE(TABLE_LEAF.cellsOffset) === 0;
      return hasNoTable && isDatabase(join(folder, name));
    });
  } catch {
    return [];
  }
}

/** undefined for a shorter file. Throws errors of the file system. */
function headOf(path: string): Buffer | undefined {
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    return readSync(file, head, 0, HEAD_BYTES, 0) === HEAD_BYTES ? head : undefined;
  } finally {
    closeSync(file);
  }
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
  const database = connect(path);
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
