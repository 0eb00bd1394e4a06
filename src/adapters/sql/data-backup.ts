// Copies a data folder into one file while its node runs, and back. Databases are copied by SQLite itself, with what is
// still in their logs; a plain copy of `*.db` would miss that.
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { P2PError } from '../../lib/errors.ts';
import { readTarHeader, TAR_BLOCK_BYTES, tarHeader, tarPadding } from '../../lib/tar.ts';
import { LOCK_FILE, openDataFolder } from './data-folder.ts';
import { copyDatabase, isDatabase } from './sqlite.ts';

export interface BackedUp {
  readonly files: readonly string[];
  readonly bytes: number;
}

/** A data folder has about ten files. */
const MAX_FILES = 1000;
const CHUNK_BYTES = 1_048_576;
/** Two blocks of zeros end an archive. */
const END = Buffer.alloc(2 * TAR_BLOCK_BYTES);
const PRIVATE = 0o600;
/** Belong to a database, which is copied whole; the lock belongs to the process that runs. */
const LEFT_OUT = /-(?:wal|shm|journal)$/;

/**
 * Writes a tar archive with mode 600. Throws BACKUP_FAILED: the file exists, the folder cannot be read, the disk is
 * full; then there is no file.
 */
export function backUpFolder(dataFolder: string, file: string): BackedUp {
  const folder = resolve(dataFolder);
  const names = attempt(`cannot read the data folder ${folder}`, () => keptFiles(folder));
  if (names.length === 0) throw new P2PError('BACKUP_FAILED', `nothing to back up in ${folder}`);
  const target = attempt(`cannot create ${file}`, () => openSync(file, 'wx', PRIVATE));
  try {
    const bytes = attempt(`cannot write ${file}`, () => writeArchive(folder, names, target, dirname(resolve(file))));
    return { files: names, bytes };
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(target);
  }
}

/**
 * Puts the files of an archive into a data folder that no process uses. `overwrites`: also into one that has files.
 * Throws BACKUP_FAILED, and changes nothing then; DATA_FOLDER_LOCKED, DATA_FOLDER_UNUSABLE.
 */
export function restoreFolder(file: string, dataFolder: string, options: { readonly overwrites: boolean }): BackedUp {
  const source = attempt(`cannot read ${file}`, () => openSync(file, 'r'));
  try {
    const folder = openDataFolder(dataFolder);
    try {
      const present = readdirSync(folder.path).filter((name) => !name.startsWith(LOCK_FILE));
      if (present.length > 0 && !options.overwrites)
        throw new P2PError('BACKUP_FAILED', `the data folder ${folder.path} is not empty (expected --overwrite)`);
      return attempt(`cannot restore ${file}`, () => unpack(source, statSync(file).size, folder.path));
    } finally {
      folder.release();
    }
  } finally {
    closeSync(source);
  }
}

function keptFiles(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile() && isKept(entry.name)).map(({ name }) => name);
  if (names.length > MAX_FILES) throw new RangeError(`${names.length} files (at most ${MAX_FILES})`);
  return names.sort();
}

function isKept(name: string): boolean {
  return !name.startsWith(LOCK_FILE) && !LEFT_OUT.test(name);
}

/** Databases are copied into a folder beside the archive first. Returns the size of the archive. */
function writeArchive(folder: string, names: readonly string[], target: number, beside: string): number {
  const scratch = mkdtempSync(join(beside, '.backup-'));
  try {
    let bytes = 0;
    for (const name of names) {
      const path = join(folder, name);
      const copy = join(scratch, basename(name));
      if (isDatabase(path)) copyDatabase(path, copy);
      bytes += append(isDatabase(path) ? copy : path, name, target);
      rmSync(copy, { force: true });
    }
    return bytes + writeSync(target, END);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function append(path: string, name: string, target: number): number {
  const source = openSync(path, 'r');
  try {
    const { size, mtimeMs } = statSync(path);
    const header = writeSync(target, tarHeader({ name, bytes: size }, mtimeMs));
    copyBytes(source, target, size);
    return header + size + writeSync(target, Buffer.alloc(tarPadding(size)));
  } finally {
    closeSync(source);
  }
}

/** Checks the whole archive before it changes the folder. */
function unpack(source: number, archiveBytes: number, folder: string): BackedUp {
  const scratch = mkdtempSync(join(folder, '.restore-'));
  try {
    const files: string[] = [];
    for (;;) {
      const header = readTarHeader(readExactly(source, TAR_BLOCK_BYTES));
      if (header === undefined) break;
      const { name, bytes } = header;
      if (!/^[\w.-]+$/.test(name) || /^\.+$/.test(name) || !isKept(name) || files.includes(name))
        throw new RangeError(`unexpected file ${JSON.stringify(name.slice(0, 100))} in the archive`);
      if (files.push(name) > MAX_FILES) throw new RangeError(`more than ${MAX_FILES} files`);
      const copy = openSync(join(scratch, name), 'wx', PRIVATE);
      try {
        copyBytes(source, copy, bytes);
      } finally {
        closeSync(copy);
      }
      readExactly(source, tarPadding(bytes));
    }
    if (files.length === 0) throw new RangeError('the archive is empty');
    for (const name of files) {
      // A log of the database that was there before would be applied to the one that takes its place.
      for (const log of ['-wal', '-shm', '-journal']) rmSync(join(folder, name + log), { force: true });
      renameSync(join(scratch, name), join(folder, name));
    }
    return { files, bytes: archiveBytes };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function copyBytes(source: number, target: number, bytes: number): void {
  for (let left = bytes; left > 0; ) {
    const chunk = readExactly(source, Math.min(left, CHUNK_BYTES));
    for (let at = 0; at < chunk.length; ) at += writeSync(target, chunk, at);
    left -= chunk.length;
  }
}

function readExactly(source: number, bytes: number): Buffer {
  const chunk = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; ) {
    const read = readSync(source, chunk, at, bytes - at, null);
    if (read === 0) throw new RangeError('the file ended too early');
    at += read;
  }
  return chunk;
}

/** Turns errors of the file system, of SQLite and of the archive into BACKUP_FAILED. */
function attempt<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof P2PError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new P2PError('BACKUP_FAILED', `${what}: ${why}`);
  }
}
