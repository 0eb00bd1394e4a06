// Files that nobody else may read, also where others can write into the folder.
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import type { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createPrivateFile, writePrivateFile } from '../../../src/lib/private-file.ts';

/** Called after a file was removed. */
let removed: (path: string) => void = () => {};
vi.mock(import('node:fs/promises'), async (original) => {
  const fs = await original();
  const remove: typeof rm = async (path, options) => {
    await fs.rm(path, options);
    removed(String(path));
  };
  return { ...fs, rm: remove };
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'private-'));
});
afterEach(() => {
  removed = () => {};
  rmSync(folder, { recursive: true });
});

test.each([true, false])('takes the place of what was left over (on the disk: %s)', async (isDurable) => {
  const file = join(folder, 'key');
  writeFileSync(`${file}.new`, 'left', { mode: 0o644 });
  writeFileSync(file, 'old', { mode: 0o644 });
  await writePrivateFile(file, 'text', { isDurable });
  expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual(['text', 0o600]);
});

test('is never written through a link that somebody puts there in between', async () => {
  const [file, theirs] = [join(folder, 'key'), join(folder, 'theirs')];
  writeFileSync(theirs, '');
  removed = (path) => symlinkSync(theirs, path);
  await expect(createPrivateFile(file, 'secret', { isDurable: false })).rejects.toThrow(/EEXIST/);
  expect(readFileSync(theirs, 'utf8')).toBe('');
});
