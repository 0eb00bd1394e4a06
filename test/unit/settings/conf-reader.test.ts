// The reader of settings.conf files: contexts, interpolation, environment, origins.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfReader, parseConf } from '../../../src/settings/conf-reader.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

function reader(text: string, context = 'dev', env: Record<string, string> = {}): ConfReader {
  return new ConfReader(parseConf(text, 'settings.conf'), env, context);
}

function value(text: string, context?: string, env?: Record<string, string>): unknown {
  const found = reader(text, context, env).resolve('k');
  return found === undefined ? undefined : 'value' in found ? found.value : { problem: found.problem };
}

describe('lines', () => {
  test.each([
    ['k = a', 'a'],
    ['k=a', 'a'],
    ['  k   =  a b  ', 'a b'],
    ['k = "a b"', 'a b'],
    ['k = a # said why', 'a'],
    ['k = "a # b"', '"a'],
    ['k = # nothing', ''],
    ['k =', ''],
    ['k = a = b', 'a = b'],
    ['# k = a', undefined],
    ['k', undefined],
    ['k = a\r\nk = b\r\n', 'b'],
  ])('%j', (text, expected) => {
    expect(value(text)).toBe(expected);
  });
});

describe('contexts', () => {
  const text = 'k = 1\nk.docker = 2\nk.docker.host = 3\nk.docker.host.teranode1 = 4';

  test.each([
    ['dev', '1'],
    ['docker', '2'],
    ['docker.m', '2'],
    ['docker.host', '3'],
    ['docker.host.teranode2', '3'],
    ['docker.host.teranode1', '4'],
    ['docker.host.teranode1.daemon', '4'],
    ['', '1'],
  ])('%s', (context, expected) => {
    expect(value(text, context)).toBe(expected);
  });

  test('an empty value in a nearer context counts as found', () => {
    expect(value('k = 1\nk.dev =')).toBe('');
  });
});

describe('files and environment', () => {
  const folder = temporaryFolder('conf');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'settings.conf'), 'k = 1\n\nk.dev = 2\nm = 3');
  writeFileSync(join(folder, 'settings_local.conf'), 'k = 4\nm = 5');

  test('a later file overrides only the same key; the most specific key wins in any file', () => {
    const both = ConfReader.ofFolder(folder, {}, 'dev');
    expect(both.resolve('k')).toEqual({ value: '2', origin: 'settings.conf:3 k.dev' });
    expect(both.resolve('m')).toEqual({ value: '5', origin: 'settings_local.conf:2 m' });
  });

  test('an environment variable overrides every context, even when empty', () => {
    expect(ConfReader.ofFolder(folder, { k: '6' }, 'dev').resolve('k')).toEqual({
      value: '6',
      origin: 'environment k',
    });
    expect(ConfReader.ofFolder(folder, { k: '' }, 'dev').resolve('k')).toMatchObject({ value: '' });
  });

  test('two spellings are one key: the more specific wins, then the first spelling', () => {
    const text = reader('a_b = 1\naB.dev = 2');
    expect(text.resolve('a_b', ['aB'])).toMatchObject({ value: '2' });
    expect(reader('a_b = 1\naB = 2').resolve('a_b', ['aB'])).toMatchObject({ value: '1' });
    expect(reader('a_b = 1', 'dev', { aB: '3' }).resolve('a_b', ['aB'])).toMatchObject({
      value: '3',
      origin: 'environment aB',
    });
  });

  test('a folder without files is empty', () => {
    expect(ConfReader.ofFolder(join(folder, 'nowhere'), {}, 'dev').resolve('k')).toBeUndefined();
  });
});

describe('interpolation', () => {
  test('follows the same rules as any key', () => {
    expect(value('k = a${X}c\nX = 1\nX.dev = b')).toBe('abc');
    expect(value('k = ${X}\nX = 1', 'dev', { X: 'env' })).toBe('env');
    expect(value('k = ${X}${X}\nX = ${Y}\nY = z')).toBe('zz');
    expect(value('k = ${X}|\nX =')).toBe('|');
  });

  test('reports unknown names, circular references and deep nesting', () => {
    expect(value('k = ${X}')).toEqual({ problem: expect.stringContaining('unknown name ${X}') });
    expect(value('k = ${X}\nX = ${k}')).toEqual({
      problem: expect.stringContaining('circular reference: k -> X -> k'),
    });
    const deep = Array.from({ length: 30 }, (_each, i) => `X${i} = \${X${i + 1}}`).join('\n');
    expect(value(`k = \${X0}\n${deep}\nX30 = end`)).toEqual({ problem: expect.stringContaining('nested references') });
  });

  test('reports names that every object has as unknown', () => {
    expect(value('k = ${constructor}')).toEqual({ problem: expect.stringContaining('unknown name ${constructor}') });
    expect(reader('toString = a').resolve('toString')).toMatchObject({ value: 'a' });
  });

  test('limits values that double with each reference', () => {
    const doubling = Array.from({ length: 18 }, (_each, i) => `X${i} = \${X${i + 1}}\${X${i + 1}}`).join('\n');
    expect(value(`k = \${X0}\n${doubling}\nX18 = aaaaaaaa`)).toEqual({
      problem: expect.stringContaining('too long'),
    });
  });
});

test('never throws, whatever the file contains', () => {
  const line = fc
    .tuple(fc.constantFrom('k', 'k.dev', 'X', ' ', 'k.docker'), fc.constantFrom('=', ' = ', ''), fc.string())
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.array(line), fc.constantFrom('dev', 'docker.m', '..', ''), (lines, context) => {
      reader(lines.join('\n'), context).resolve('k');
    }),
  );
});
