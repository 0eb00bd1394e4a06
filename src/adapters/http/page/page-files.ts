// The built dashboard: which files it has, and what browsers may do with them. Only files that were found when the
// folder was read are served, so no path of a request reaches the disk.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PageFile {
  readonly type: string;
  readonly content: Buffer;
  readonly gzip: Buffer | undefined;
}

/** Beside the program in the bundle of a checkout; beside the folder of the program in the package. */
export const BUILT_PAGE_FOLDERS = ['./dashboard/', '../dashboard/'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

/** By their path in the folder; undefined where none of the folders has a page. */
export async function readPage(folders: readonly string[]): Promise<ReadonlyMap<string, PageFile> | undefined> {
  for (const folder of folders) {
    const names = await readdir(folder, { recursive: true }).catch((): string[] => []);
    if (!names.includes('index.html')) continue;
    const files = new Map<string, PageFile>();
    for (const name of names) {
      const type = TYPES[name.slice(name.lastIndexOf('.') + 1)];
      if (type === undefined) continue;
      const gzip = names.includes(`${name}.gz`) ? await readFile(join(folder, `${name}.gz`)) : undefined;
      files.set(name, { type, content: await readFile(join(folder, name)), gzip });
    }
    return files;
  }
  return undefined;
}

/** Nothing but this server is asked, and no script or style that stands in the page itself runs. */
const POLICY = [
  "default-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "object-src 'none'",
].join('; ');
/** A file whose name holds the hash of its content never changes. */
export const FOREVER = 'public, max-age=31536000, immutable';
const ACCEPTS_GZIP = /(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+\s*)?(?:,|$)/;

/** What a browser gets for a file of the page. */
export function fileAnswer({ type, content, gzip }: PageFile, acceptEncoding: unknown, cacheControl: string) {
  const isCompressed = gzip !== undefined && ACCEPTS_GZIP.test(String(acceptEncoding ?? ''));
  const headers = {
    'content-type': type,
    'content-security-policy': POLICY,
    'cache-control': cacheControl,
    vary: 'accept-encoding',
    ...(isCompressed && { 'content-encoding': 'gzip' }),
  };
  return { headers, body: isCompressed ? gzip : content };
}
