// `prepare` builds the native addon where it can, and `npm ci` succeeds where it cannot. A shell script stands for cargo.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildNative } from '../../scripts/build-native.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const LIBRARY = process.platform === 'darwin' ? 'libteranode_p2p_native.dylib' : 'libteranode_p2p_native.so';
/** Writes a line for each build, and the library. */
const WORKING = `echo "$@" >> ../builds; mkdir -p target/release; echo library > target/release/${LIBRARY}`;

/** A checkout with the files that `prepare` reads, whose PATH finds a few tools and this cargo. */
function checkout(cargo?: string) {
  const root = temporaryFolder('build-native');
  const bin = join(root, 'bin');
  mkdirSync(bin);
  for (const name of ['sh', 'mkdir', 'sleep'])
    symlinkSync(execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim(), join(bin, name));
  for (const name of ['native/Cargo.toml', 'native/Cargo.lock', 'native/build.rs', 'native/src', 'scripts'])
    cpSync(join(REPO, name), join(root, name), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
  if (cargo !== undefined) writeFileSync(join(bin, 'cargo'), `#!/bin/sh\n${cargo}\n`, { mode: 0o755 });
  const addon = join(root, 'native/teranode-p2p-native.node');
  const env = { PATH: bin };
  return {
    root,
    env,
    addon,
    builds: () =>
      existsSync(join(root, 'builds')) ? readFileSync(join(root, 'builds'), 'utf8').split('\n').length - 1 : 0,
    prepare: (npm: Record<string, string>) => {
      const given = { ...env, npm_config_local_prefix: root, ...npm };
      return spawnSync(process.execPath, [join(root, 'scripts/prepare.ts')], { encoding: 'utf8', env: given });
    },
  };
}

test.each<[string, string | undefined, string]>([
  ['is missing', undefined, 'cargo is not installed'],
  [
    'fails',
    'echo "warning: x" >&2; echo "error: rustc 1.63 is not supported" >&2; exit 101',
    'cargo build failed: error: rustc 1.63 is not supported',
  ],
  ['fails without a word', 'exit 3', 'cargo build failed: 3'],
  ['builds nothing', 'exit 0', 'Error: ENOENT: no such file or directory'],
])('npm ci where cargo %s succeeds without an addon, and one line says why', (_what, cargo, reason) => {
  const { prepare, addon } = checkout(cargo);
  const { status, stdout, stderr } = prepare({ npm_command: 'ci' });
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  expect(stderr).toMatch(/^teranode-p2p: native addon not built, libsodium will verify signatures \(.*\)\n$/);
  expect(stderr).toContain(reason);
  expect(existsSync(addon)).toBe(false);
});

test('npm ci builds the addon quietly, and again only after its sources changed', () => {
  const { root, prepare, addon, builds } = checkout(`echo noise; echo noise >&2; ${WORKING}`);
  for (const command of ['ci', 'install', 'ci'])
    expect(prepare({ npm_command: command })).toMatchObject({ status: 0, stdout: '', stderr: '' });
  expect(builds()).toBe(1);
  expect(readFileSync(join(root, 'builds'), 'utf8')).toMatch(/^build --release --locked --quiet /);
  expect(readFileSync(addon, 'utf8')).toBe('library\n');
  appendFileSync(join(root, 'native/src/lib.rs'), '// changed\n');
  expect(prepare({ npm_command: 'ci' }).status).toBe(0);
  expect(builds()).toBe(2);
});

test('an addon of other sources is removed when its successor cannot be built', () => {
  const { root, prepare, addon } = checkout(WORKING);
  expect(prepare({ npm_command: 'ci' }).status).toBe(0);
  appendFileSync(join(root, 'native/Cargo.toml'), '# changed\n');
  writeFileSync(join(root, 'bin/cargo'), '#!/bin/sh\nexit 1\n');
  expect(prepare({ npm_command: 'ci' }).status).toBe(0);
  expect(existsSync(addon)).toBe(false);
});

test.each<[string, (root: string) => Record<string, string>]>([
  ['npm pack', () => ({ npm_command: 'pack' })],
  ['npm publish', () => ({ npm_command: 'publish' })],
  [
    'npm install in the clone that npm made of a git URL',
    (root) => ({ npm_command: 'install', npm_config_cache: join(root, '..') }),
  ],
])('%s does not build the addon, which the package does not contain', (_what, npm) => {
  const { root, prepare, builds } = checkout(WORKING);
  expect(prepare(npm(root))).toMatchObject({ status: 0, stderr: '' });
  expect(builds()).toBe(0);
});

test('a build that does not end is killed with all that it started, and the reason names the bound', async () => {
  const { root, env, addon } = checkout('sleep 600 & echo $! > ../sleeper; wait');
  const failure = await buildNative(root, { env, deadlineMs: 1000 });
  expect(failure).toBe('cargo did not end within 1 s');
  expect(existsSync(addon)).toBe(false);
  const sleeper = readFileSync(join(root, 'sleeper'), 'utf8').trim();
  // Ended, or waiting to be reaped.
  await waitFor(() => !isRunning(sleeper), { what: 'the end of the compiler' });
});

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s ends npm ci and all that the build started', async (signal) => {
  const { root, env } = checkout('sleep 600 & echo $! > ../sleeper; wait');
  const file = join(root, 'sleeper');
  const npm = { ...env, npm_config_local_prefix: root, npm_command: 'ci' };
  const prepare = spawn(process.execPath, [join(root, 'scripts/prepare.ts')], { env: npm, stdio: 'ignore' });
  const ended = new Promise((resolve) => prepare.once('exit', (code) => resolve(code)));
  await waitFor(() => existsSync(file) && readFileSync(file, 'utf8') !== '', { what: 'the compiler' });
  prepare.kill(signal);
  expect(await ended).toBe({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]);
  const sleeper = readFileSync(file, 'utf8').trim();
  await waitFor(() => !isRunning(sleeper), { what: 'the end of the compiler' });
});

function isRunning(pid: string): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', pid], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.startsWith('Z');
}
