// Bundles of the program in .cache/program, and whether one of them is of the sources as they are now.
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** More than one, because a server may load a part of its bundle long after its start, when the sources have changed. */
const FOLDERS = ['0', '1', '2', '3'];

/** Beside the bundle: `{ sources, libraries, fingerprint }`, paths from the root of the checkout. */
export const INPUTS = 'inputs.json';

/** The folders that hold bundles, whether they exist or not. */
export function bundleFolders(root) {
  return FOLDERS.map((name) => join(root, '.cache/program', name));
}

/** The folder of a bundle of the sources and libraries as they are now; undefined where there is none. Never throws. */
export function currentBundle(root) {
  /** Bundles share most of their sources. */
  const contents = new Map();
  const read = (path) => {
    const content = contents.get(path) ?? readFileSync(join(root, path));
    contents.set(path, content);
    return content;
  };
  return bundleFolders(root).find((folder) => {
    try {
      const { fingerprint, ...inputs } = JSON.parse(readFileSync(join(folder, INPUTS), 'utf8'));
      return fingerprint === fingerprintOf(root, inputs, read);
    } catch {
      return false;
    }
  });
}

/**
 * Of the content of the sources, and of the size and time of each file of a library: nobody edits those without changing
 * their time, and there are five times as many. Whole seconds, as archives keep no more.
 */
export function fingerprintOf(root, { sources, libraries }, read) {
  const hash = createHash('sha256');
  for (const path of sources) {
    const content = read(path);
    hash.update(`\n${path} ${content.length}\n`).update(content);
  }
  for (const path of libraries) {
    const { size, mtimeMs } = statSync(join(root, path));
    hash.update(`\n${path} ${size} ${Math.floor(mtimeMs / 1000)}`);
  }
  return hash.digest('hex');
}
