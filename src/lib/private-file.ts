// Files that only this user may read and write, whatever the umask and the mode of their folder.
import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

const OWNER_ONLY = 0o600;
export const OWNER_ONLY_FOLDER = 0o700;
/** Read and write permission of the group and of all others. */
const OTHERS = 0o066;

export interface PrivateFileOptions {
  /** Waits until the text is on the disk. */
  readonly isDurable: boolean;
}

/**
 * Writes a file as a whole and swaps it in, so that a crash leaves the old text or the new one. Creates its folder if
 * needed. Throws the system's errors.
 */
export async function writePrivateFile(file: string, text: string, options: PrivateFileOptions): Promise<void> {
  const fresh = `${file}.new`;
  await mkdir(dirname(file), { recursive: true, mode: OWNER_ONLY_FOLDER });
  await createPrivateFile(fresh, text, options);
  await rename(fresh, file);
}

/** Creates a file, in the place of one that was left over, never through a link. Throws the system's errors. */
export async function createPrivateFile(file: string, text: string, options: PrivateFileOptions): Promise<void> {
  // An existing file, or a link that somebody else put there, would keep its own mode.
  await rm(file, { force: true });
  const handle = await open(file, 'wx', OWNER_ONLY);
  try {
    await handle.writeFile(text);
    if (options.isDurable) await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Creates an empty file if there is none, and takes an existing one back from other users: for libraries that create
 * files with the mode of the umask. A file that cannot be created or changed is left to the library, which reports it.
 */
export function ensurePrivateFile(file: string): void {
  try {
    closeSync(openSync(file, 'a', OWNER_ONLY));
  } catch {
    return;
  }
  takeFromOthers(file);
}

/** Takes a file back from other users, if there is one, and if it is ours on a file system with modes. */
export function takeFromOthers(file: string): void {
  try {
    if (existsSync(file)) chmodSync(file, OWNER_ONLY);
  } catch {
    // The warning about the folder remains.
  }
}

/** The permissions in octal, such as `755`, when others may read or write; always undefined on Windows. */
export function openMode({ mode }: { readonly mode: number }): string | undefined {
  return process.platform !== 'win32' && (mode & OTHERS) !== 0 ? (mode & 0o777).toString(8) : undefined;
}
