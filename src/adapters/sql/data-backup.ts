// Copies a data folder into one file while its node runs, and back. Databases are copied by SQLite itself, with what is
// still in their logs; a plain copy of `*.db` would miss that.
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { P2PError } from '../../lib/errors.ts';
import { readTarHeader, TAR_BLOCK_BYTES, tarHeader, tarPadding } from '../../lib/tar.ts';
import { LOCK_FILE, openDataFolder } from './data-folder.ts';
import { copyDatabase, isDatabase } from './sqlite.ts';

export interface BackedUp {
  readonly files: readonly string[];
  readonly bytes: number;
}

/** Called with the bytes of all files that are copied so far, and with the size of all. */
export type Copied = (bytes: number, total: number) => void;

export interface RestoreOptions {
  /** Also into a folder that has files. */
  readonly overwrites: boolean;
  readonly copied?: Copied;
}

/** A data folder has about ten files. */
const MAX_FILES = 1000;
const CHUNK_BYTES = 1_048_576;
/** Two blocks of zeros end an archive. */
const END = Buffer.alloc(2 * TAR_BLOCK_BYTES);
const PRIVATE = 0o600;
/**
 * The logs of a database, which is copied whole, and files that are being written, which are swapped in when they are
 * complete. The lock belongs to the process that runs, and so does `grpc.json`: with it, commands in a restored folder
 * would reach the node that was backed up.
 */
const LEFT_OUT = /-(?:wal|shm|journal)$|\.new$|^grpc\.json$/;

/**
 * Writes a tar archive with mode 600. Throws BACKUP_FAILED: the file exists, the folder cannot be read, the disk is
 * full. Until the archive is complete and on the disk there is no file.
 */
export function backUpFolder(dataFolder: string, file: string, copied: Copied = () => {}): BackedUp {
  const folder = resolve(dataFolder);
  const names = attempt(`cannot read the data folder ${folder}`, () => keptFiles(folder));
  if (names.length === 0) throw new P2PError('BACKUP_FAILED', `nothing to back up in ${folder}`);
  const archive = resolve(file);
  if (dirname(archive) === folder)
    throw new P2PError('BACKUP_FAILED', `${file} would be part of the next backup (expected a file in another folder)`);
  if (existsSync(archive)) throw new P2PError('BACKUP_FAILED', `${file} exists already (expected a new file)`);
  const bytes = attempt(`cannot write ${file}`, () => writeArchive(folder, names, archive, copied));
  return { files: names, bytes };
}

/**
 * Puts the files of an archive into a data folder that no process uses. Throws BACKUP_FAILED, and changes nothing then; DATA_FOLDER_LOCKED, DATA_FOLDER_UNUSABLE.
 */
export function restoreFolder(file: string, dataFolder: string, options: RestoreOptions): BackedUp {
  const source = attempt(`cannot read ${file}`, () => openSync(file, 'r'));
  try {
    const folder = openDataFolder(dataFolder);
    try {
      const present = readdirSync(folder.path).filter((name) => !name.startsWith(LOCK_FILE));
      if (present.length > 0 && !options.overwrites)
        throw new P2PError('BACKUP_FAILED', `the data folder ${folder.path} is not empty (expected --overwrite)`);
      return attempt(`cannot restore ${file}`, () => unpack(source, statSync(file).size, folder.path, options.copied));
    } finally {
      folder.release();
    }
  } finally {
    closeSync(source);
  }
}

function keptFiles(folder: string): string[] {
  // Databases may be links to another disk.
  const isFile = (name: string) => statSync(join(folder, name), { throwIfNoEntry: false })?.isFile() === true;
  const names = readdirSync(folder).filter((name) => isKept(name) && isFile(name));
  if (names.length > MAX_FILES) throw new RangeError(`${names.length} files (at most ${MAX_FILES})`);
  return names.sort();
}

function isKept(name: string): boolean {
  return !name.startsWith(LOCK_FILE) && !LEFT_OUT.test(name);
}

/**
 * Writes the archive, and the copies of databases before, in a folder beside it; then moves it to its place. Returns its
 * size.
 */
function writeArchive(folder: string, names: readonly string[], archive: string, copied: Copied): number {
  const scratch = mkdtempSync(join(dirname(archive), '.backup-'));
  try {
    const fresh = join(scratch, 'archive');
    const total = names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    const bytes = withFile(fresh, 'wx', (target) => {
      for (const name of names) {
        const path = join(folder, name);
        const copy = join(scratch, 'copy');
        copied(fstatSync(target).size, total);
        const isCopied = isDatabase(path);
        if (isCopied) copyDatabase(path, copy);
        append(isCopied ? copy : path, name, target, () => copied(fstatSync(target).size, total));
        rmSync(copy, { force: true });
      }
      writeAll(target, END);
      fsyncSync(target);
      return fstatSync(target).size;
    });
    renameSync(fresh, archive);
    return bytes;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function append(path: string, name: string, target: number, chunkCopied: () => void): void {
  withFile(path, 'r', (source) => {
    // Of the open file: another one may have taken its place in between.
    const { size, mtimeMs } = fstatSync(source);
    writeAll(target, tarHeader({ name, bytes: size }, mtimeMs));
    copyBytes(source, target, size, chunkCopied);
    writeAll(target, Buffer.alloc(tarPadding(size)));
  });
}

/** Checks the whole archive before it changes the folder. */
function unpack(source: number, archiveBytes: number, folder: string, copied: Copied = () => {}): BackedUp {
  const scratch = mkdtempSync(join(folder, '.restore-'));
  try {
    const files: string[] = [];
    let done = 0;
    for (;;) {
      const header = readTarHeader(readExactly(source, TAR_BLOCK_BYTES));
      if (header === undefined) break;
      const { name, bytes } = header;
      if (/[/\\\0]|^\.{0,2}$/.test(name) || !isKept(name) || files.includes(name))
        throw new RangeError(`unexpected file ${JSON.stringify(name.slice(0, 100))} in the archive`);
      if (files.push(name) > MAX_FILES) throw new RangeError(`more than ${MAX_FILES} files`);
      withFile(join(scratch, name), 'wx', (copy) => {
        copyBytes(source, copy, bytes, (chunk) => {
          done += chunk;
          copied(done, archiveBytes);
        });
        fsyncSync(copy);
      });
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

function copyBytes(source: number, target: number, bytes: number, chunkCopied: (bytes: number) => void): void {
  for (let left = bytes; left > 0; ) {
    const chunk = readExactly(source, Math.min(left, CHUNK_BYTES));
    writeAll(target, chunk);
    left -= chunk.length;
    chunkCopied(chunk.length);
  }
}

/** A disk that is nearly full takes a part; the next write then says that it is full. */
function writeAll(target: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(target, bytes, at);
}

function withFile<T>(path: string, flags: 'r' | 'wx', work: (file: number) => T): T {
  const file = openSync(path, flags, PRIVATE);
  try {
    return work(file);
  } finally {
    closeSync(file);
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
