// Node keeps what it compiled of this program, so that the next start is faster: in NODE_COMPILE_CACHE where that is
// set, else in the user's cache folder. Node runs what it finds there, so the folder must be one that nobody else can
// write to; without such a folder nothing is kept.
import { mkdirSync, realpathSync, statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { dirname, isAbsolute, join } from 'node:path';

const GROUP_OR_OTHERS_WRITE = 0o022;
const STICKY = 0o1000;
const ROOT = 0;

/** For as little as possible loaded before. Never throws. */
export function keepCompiledCode(env: NodeJS.ProcessEnv = process.env): void {
  // Node has read it already.
  if (env.NODE_COMPILE_CACHE) return;
  const folder = compileCacheFolder(env);
  if (folder !== undefined) enableCompileCache(folder);
}

/** A folder that only this user and root can write to, made where it is missing; undefined when there is none. */
export function compileCacheFolder(env: NodeJS.ProcessEnv): string | undefined {
  const caches = env.XDG_CACHE_HOME || (env.HOME && join(env.HOME, '.cache'));
  if (!caches || !isAbsolute(caches)) return undefined;
  const folder = join(caches, 'teranode-p2p', 'compiled');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // The folder that was checked is the one that is used, whatever becomes of links to it.
    const real = realpathSync(folder);
    return isOnlyOurs(real) ? real : undefined;
  } catch {
    return undefined;
  }
}

/** Whoever may write to a parent could put another folder in the place of this one; a sticky parent forbids that. */
function isOnlyOurs(folder: string): boolean {
  const own = process.getuid?.();
  // Windows has other permissions, and a home that only its user can write to.
  if (own === undefined) return true;
  for (let each = folder; ; each = dirname(each)) {
    const { uid, mode } = statSync(each);
    const isWritable = (mode & GROUP_OR_OTHERS_WRITE) !== 0 && (each === folder || (mode & STICKY) === 0);
    if (isWritable || (uid !== own && uid !== ROOT)) return false;
    if (each === dirname(each)) return true;
  }
}
