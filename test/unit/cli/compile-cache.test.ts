// Where Node may keep compiled code, which it runs at the next start.
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { compileCacheFolder } from '../../../src/cli/compile-cache.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

const PARTS = ['teranode-p2p', 'compiled'] as const;

describe('the folder of compiled code', () => {
  test('is in the cache folder of the user and for nobody else', () => {
    const home = temporaryFolder('home');
    const folder = compileCacheFolder({ HOME: home });
    expect(folder).toBe(join(home, '.cache', ...PARTS));
    expect(statSync(folder ?? '').mode & 0o777).toBe(0o700);
    const caches = temporaryFolder('caches');
    expect(compileCacheFolder({ HOME: home, XDG_CACHE_HOME: caches })).toBe(join(caches, ...PARTS));
  });

  test.each([
    ['the folder itself', [...PARTS], 0o777],
    ['the folder itself, sticky', [...PARTS], 0o1777],
    ['a parent, by the group', ['teranode-p2p'], 0o770],
    ['the cache folder', [], 0o777],
  ])('is not used when others may write to %s', (_which, path, mode) => {
    const caches = temporaryFolder('caches');
    mkdirSync(join(caches, ...PARTS), { recursive: true });
    expect(compileCacheFolder({ XDG_CACHE_HOME: caches })).toBeDefined();
    chmodSync(join(caches, ...path), mode);
    expect(compileCacheFolder({ XDG_CACHE_HOME: caches })).toBeUndefined();
  });

  test('is used below a sticky folder, where others cannot replace it', () => {
    const caches = temporaryFolder('caches');
    chmodSync(caches, 0o1777);
    expect(compileCacheFolder({ XDG_CACHE_HOME: caches })).toBe(join(caches, ...PARTS));
  });

  test('is the target of a link, which is checked in its place', () => {
    const caches = temporaryFolder('caches');
    const elsewhere = temporaryFolder('elsewhere');
    mkdirSync(join(caches, 'teranode-p2p'));
    symlinkSync(elsewhere, join(caches, ...PARTS));
    expect(compileCacheFolder({ XDG_CACHE_HOME: caches })).toBe(elsewhere);
    chmodSync(elsewhere, 0o777);
    expect(compileCacheFolder({ XDG_CACHE_HOME: caches })).toBeUndefined();
  });

  test('is missing without a home, with a relative one, and where it cannot be made', () => {
    expect(compileCacheFolder({})).toBeUndefined();
    expect(compileCacheFolder({ HOME: 'here' })).toBeUndefined();
    expect(existsSync('here')).toBe(false);
    const file = join(temporaryFolder('file'), 'file');
    writeFileSync(file, '');
    expect(compileCacheFolder({ HOME: file })).toBeUndefined();
  });
});
