// Locks the folder that holds everything one node stores. Two nodes never share a folder; a crash leaves no lock
// behind.
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { P2PError } from '../../lib/errors.ts';
import { OWNER_ONLY_FOLDER, openMode } from '../../lib/private-file.ts';
import type { Logger } from '../../ports/log.ts';
import { emptyCopies, openLock } from './sqlite.ts';

export const LOCK_FILE = 'lock.db';

export interface DataFolder {
  /** Absolute. */
  readonly path: string;
  /** May be called twice. */
  release(): void;
}

/** Warns of a folder in which other users can read names or replace files. One that is missing is created private. */
export function warnOfOpenFolder(folder: string, log: Logger): void {
  const stats = statSync(folder, { throwIfNoEntry: false });
  const mode = stats && openMode(stats);
  if (mode !== undefined)
    log.warn({ folder: resolve(folder), mode }, 'folder can be read or written by other users (expected mode 700)');
}

/** Warns of databases that lost their contents when they were copied. Call it before any is opened. */
export function warnOfEmptyCopies({ path }: Pick<DataFolder, 'path'>, log: Logger): void {
  const files = emptyCopies(path, LOCK_FILE);
  if (files.length === 0) return;
  const event = 'databases are empty: a copy without their -wal files has lost the key and the bans; use backup';
  log.warn({ dataFolder: path, files }, event);
}

/** Creates the folder if needed and locks it. Throws DATA_FOLDER_UNUSABLE, DATA_FOLDER_LOCKED. */
export function openDataFolder(folder: string): DataFolder {
  const path = resolve(folder);
  try {
    mkdirSync(path, { recursive: true, mode: OWNER_ONLY_FOLDER });
    accessSync(path, constants.W_OK);
  } catch (cause) {
    throw new P2PError('DATA_FOLDER_UNUSABLE', `dataFolder ${path} cannot be created or written`, { cause });
  }
  let lock: ReturnType<typeof openLock> | undefined;
  try {
    lock = openLock(join(path, LOCK_FILE));
  } catch (cause) {
    throw new P2PError(
      'DATA_FOLDER_LOCKED',
      `dataFolder ${path} is in use by another process; give each node a folder of its own`,
      { cause },
    );
  }
  return {
    path,
    release: () => {
      lock?.close();
      lock = undefined;
    },
  };
}
