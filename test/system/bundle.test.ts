// `npm start` and `npm run cli` run a bundle of the sources: always of the sources as they are.
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fingerprintOf } from '../../scripts/bundles.js';
import { temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

const MAIN = 'src/cli/main.ts';

/** A checkout of its own, which shares the installed libraries. */
function checkout() {
  const root = temporaryFolder('bundle');
  for (const name of ['src', 'scripts', 'dashboard', 'package.json', 'tsconfig.json'])
    cpSync(join(REPO, name), join(root, name), { recursive: true });
  symlinkSync(join(REPO, 'node_modules'), join(root, 'node_modules'));
  const edit = (path: string, from: string, to: string) => {
    const text = readFileSync(join(root, path), 'utf8');
    expect(text).toContain(from);
    writeFileSync(join(root, path), text.replace(from, to));
  };
  const run = (...args: string[]) => {
    const env = { PATH: process.env.PATH ?? '', HOME: root };
    const ended = spawnSync(process.execPath, [join(root, 'scripts/run.js'), ...args], {
      cwd: root,
      encoding: 'utf8',
      env,
    });
    return { code: ended.status, stdout: ended.stdout, stderr: ended.stderr };
  };
  const bundles = () => readdirSync(join(root, '.cache/program')).sort();
  return { root, edit, run, bundles };
}

test('an edit is in the next run, and in a later one after it was taken back', () => {
  const { edit, run, bundles } = checkout();
  expect(run('--help')).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('Peer-to-peer server') });
  expect(run('--help').code).toBe(0);
  expect(bundles()).toEqual(['0']);
  edit('src/cli/program.ts', 'Peer-to-peer server', 'Peer-to-peer edited');
  expect(run('--help')).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('Peer-to-peer edited') });
  expect(bundles()).toEqual(['0', '1']);
  edit('src/cli/program.ts', 'Peer-to-peer edited', 'Peer-to-peer server');
  expect(run('--help').stdout).toContain('Peer-to-peer server');
  expect(bundles()).toEqual(['0', '1']);
});

test('a bundle can be read by the account that runs the server, whoever made it', () => {
  const { root, run } = checkout();
  expect(run('--help').code).toBe(0);
  const folder = join(root, '.cache/program/0');
  for (const path of [folder, join(folder, 'main.js')]) expect(statSync(path).mode & 0o044).toBe(0o044);
  expect(statSync(folder).mode & 0o111).toBe(0o111);
});

test('a start that finds a bundle which another start made meanwhile leaves it in its place', () => {
  const { root, run, bundles } = checkout();
  expect(run('--help').code).toBe(0);
  const made = statSync(join(root, '.cache/program/0')).ino;
  for (let i = 0; i < 4; i += 1) spawnSync(process.execPath, [join(root, 'scripts/make-bundle.ts')]);
  expect(bundles()).toEqual(['0']);
  expect(statSync(join(root, '.cache/program/0')).ino).toBe(made);
});

test('a stack trace names the file and line of the source', () => {
  const { root, edit, run } = checkout();
  edit(
    'src/cli/program.ts',
    '): Promise<void> {',
    "): Promise<void> {\n  if (argv[0] === 'fail') throw new TypeError('failed here');",
  );
  const lines = readFileSync(join(root, 'src/cli/program.ts'), 'utf8').split('\n');
  const line = lines.findIndex((each) => each.includes('failed here')) + 1;
  const { code, stderr } = run('fail');
  expect(code).toBe(1);
  expect(stderr).toContain(`/src/cli/program.ts:${line}:`);
  expect(stderr).toContain('TypeError: failed here');
});

test('sources that cannot be bundled, or whose bundle cannot be written, run themselves', () => {
  const { root, edit, run } = checkout();
  // Not a folder.
  appendFileSync(join(root, '.cache'), '');
  const unwritten = run('--help');
  expect(unwritten).toMatchObject({ code: 0, stdout: expect.stringContaining('Peer-to-peer server') });
  expect(unwritten.stderr).toMatch(/^teranode-p2p runs from its sources: no bundle \(.*\)\n$/);
  rmSync(join(root, '.cache'));
  edit(MAIN, "import { runCommandLine } from './run.ts';", "import { runCommandLine } from './missing.ts';");
  const { code, stderr } = run('--help');
  expect(code).toBe(1);
  expect(stderr).toContain('missing.ts');
});

test('the fingerprint of a bundle follows the content of sources, and size and time of libraries', () => {
  const root = temporaryFolder('fingerprint');
  const [source, library] = [join(root, 'source'), join(root, 'library')];
  for (const file of [source, library]) writeFileSync(file, 'one');
  for (const file of [source, library]) utimesSync(file, 1000, 1000);
  const read = (path: string) => readFileSync(join(root, path));
  const print = () => fingerprintOf(root, { sources: ['source'], libraries: ['library'] }, read);
  const first = print();
  utimesSync(source, 2000, 2000);
  expect(print()).toBe(first);
  writeFileSync(source, 'two');
  const edited = print();
  expect(edited).not.toBe(first);
  utimesSync(library, 2000, 2000);
  expect(print()).not.toBe(edited);
});

test('an edit of the dashboard is in the bundle of the next start', () => {
  const { root, edit, run } = checkout();
  const page = (bundle: string) => readFileSync(join(root, '.cache/program', bundle, 'dashboard/index.html'), 'utf8');
  expect(run('--help').code).toBe(0);
  expect(page('0')).not.toContain('<title>edited</title>');
  edit('dashboard/index.html', '<title>teranode-p2p</title>', '<title>edited</title>');
  expect(run('--help').code).toBe(0);
  expect(page('1')).toContain('<title>edited</title>');
});
