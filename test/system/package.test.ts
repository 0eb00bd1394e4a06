// The published package: packed, installed in a project of its own, run and imported there.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { collectLines } from '../support/json-lines.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

/** The Node that the checkout's scripts run. */
const NODE = process.execPath;

/** The TypeScript of documents, as their readers copy it. */
function examplesOf(...files: readonly string[]): string[] {
  return files.flatMap((file) =>
    [...readFileSync(join(REPO, file), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = '']) => code),
  );
}

describe('the published package', () => {
  const project = temporaryFolder('consumer');
  const installed = join(project, 'node_modules/teranode-p2p');
  const bin = join(project, 'node_modules/.bin/teranode-p2p');

  beforeAll(() => {
    // Packed in a copy: packing rewrites package.json for its time.
    const copy = temporaryFolder('package');
    const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: REPO, encoding: 'utf8' })
      .trim()
      .split('\n');
    for (const file of files.filter((name) => existsSync(join(REPO, name)))) {
      mkdirSync(dirname(join(copy, file)), { recursive: true });
      cpSync(join(REPO, file), join(copy, file));
    }
    symlinkSync(join(REPO, 'node_modules'), join(copy, 'node_modules'));
    // As where `npm ci` built the addon, which runs on that machine only.
    writeFileSync(join(copy, 'native/teranode-p2p-native.node'), 'addon');
    const before = readFileSync(join(copy, 'package.json'), 'utf8');
    const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', project], {
      cwd: copy,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(readFileSync(join(copy, 'package.json'), 'utf8')).toBe(before);
    const tarball = /teranode-p2p-[^"]*\.tgz/.exec(packed)?.[0] ?? '';
    writeFileSync(
      join(project, 'package.json'),
      JSON.stringify({ name: 'consumer', private: true, type: 'module', scripts: { version: 'node -v' } }),
    );
    execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', join(project, tarball)], {
      cwd: project,
      stdio: 'ignore',
      timeout: 240_000,
    });
  });

  test('does not replace the Node.js of its user', () => {
    expect(existsSync(join(project, 'node_modules/.bin/node'))).toBe(false);
    const path = (process.env.PATH ?? '')
      .split(':')
      .filter((each) => !each.includes('node_modules'))
      .join(':');
    const env = { PATH: path, HOME: process.env.HOME ?? '' };
    const system = execFileSync('node', ['-v'], { encoding: 'utf8', env }).trim();
    expect(execFileSync('npm', ['run', '-s', 'version'], { cwd: project, encoding: 'utf8', env }).trim()).toBe(system);
  });

  test('contains built JavaScript, types and the default settings, no TypeScript source and no native addon', () => {
    for (const name of [
      'dist/index.js',
      'dist/index.d.ts',
      'dist/cli/main.js',
      'dist/cli/THIRD-PARTY-LICENSES.md',
      'dist/dashboard/index.html',
      'dist/dashboard/devnet.html',
      'dist/dashboard/THIRD-PARTY-LICENSES.md',
      'settings.conf',
      'LICENSE',
      'README.md',
    ]) {
      expect(existsSync(join(installed, name))).toBe(true);
    }
    for (const name of ['src', 'native', 'dashboard']) expect(existsSync(join(installed, name))).toBe(false);
    const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    expect(manifest.optionalDependencies).toBeUndefined();
    // npm would run `prepare` where the unpacked folder is installed, and its file is not in the package.
    expect(Object.keys(manifest.scripts)).toEqual(['postpack']);
  });

  test('names the required version on a Node.js that is too old', () => {
    const preload = join(project, 'old.cjs');
    writeFileSync(
      preload,
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });",
    );
    const { status, stderr } = spawnSync(
      NODE,
      ['--require', preload, join(installed, 'bin/teranode-p2p.js'), '--version'],
      { encoding: 'utf8' },
    );
    expect(status).toBe(1);
    expect(stderr).toContain('needs Node 22.22 or newer');
  });

  test('has a program that runs: help, version, start, stop', async () => {
    const run = (...args: string[]) => spawnSync(NODE, [bin, ...args], { encoding: 'utf8', cwd: installed });
    expect(run('--help').stdout).toContain('teranode-p2p start');
    expect(run('--version').stdout).toMatch(/^(v\d|Unknown)/);
    expect(run('nonsense').status).toBe(2);
    expect(run('start', '--nonsense').status).toBe(2);
    const env = { dataFolder: temporaryFolder('data'), p2p_port: '0', p2p_http_listen_address: '127.0.0.1:0' };
    const child = spawn(NODE, [bin, 'start', '--json-logs'], {
      cwd: installed,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    endWithTests(child);
    const lines = collectLines(child.stdout);
    await waitFor(() => lines.json.some(({ event }) => event === 'ready'), {
      timeoutMs: 20_000,
      what: 'the ready line',
    });
    // Made by a library that the program does not have in its own files.
    const address = lines.json.find(({ event }) => event === 'ready')?.httpAddress;
    const response = await fetch(`http://${address}/openapi.json`);
    expect(Object.keys((await response.json()).paths)).toContain('/api/v1/peers');
    const page = await fetch(`http://${address}/`);
    const [, script] = /<script [^>]*src="([^"]*)"/.exec(await page.text()) ?? [];
    expect((await fetch(`http://${address}${script}`)).status).toBe(200);
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });

  test('has entries for import and for require that export what the documents name, and nothing of their own files', () => {
    const listed =
      "for (const name of ['listen', 'client']) console.log(Object.keys(require(`teranode-p2p/${name}`)).join())";
    expect(execFileSync(NODE, ['-e', listed], { cwd: project, encoding: 'utf8' })).toBe(
      'endpoints,headers,listen\nERROR_CODES,P2PError,createPeerClient\n',
    );
    const all =
      "import * as all from 'teranode-p2p'; console.log(Object.keys(all).filter((name) => name.length < 4).join());";
    expect(execFileSync(NODE, ['--input-type=module', '-e', all], { cwd: project, encoding: 'utf8' })).toBe('\n');
  });

  test('can be imported by its name, with types', () => {
    writeFileSync(
      join(project, 'use.mjs'),
      "import { decodeBlock, NETWORKS } from 'teranode-p2p'; console.log(decodeBlock(new Uint8Array()).ok, NETWORKS.mainnet.name);",
    );
    expect(execFileSync(NODE, ['use.mjs'], { cwd: project, encoding: 'utf8' }).trim()).toBe('false mainnet');
    examplesOf('README.md', 'docs/library.md').forEach((code, i) => {
      writeFileSync(join(project, `example-${i}.ts`), code);
    });
    writeFileSync(
      join(project, 'use.ts'),
      "import { decodeBlock, type BlockMessage } from 'teranode-p2p';\nconst d = decodeBlock(new Uint8Array());\nexport const m: BlockMessage | undefined = d.ok ? d.message : undefined;\n",
    );
    const options = (module: string, moduleResolution: string) => ({
      compilerOptions: {
        module,
        moduleResolution,
        target: 'es2024',
        lib: ['es2024', 'esnext.disposable', 'dom'],
        strict: true,
        noEmit: true,
        types: ['node'],
        typeRoots: [join(REPO, 'node_modules/@types')],
      },
      include: ['*.ts'],
    });
    for (const [module, resolution] of [
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ] as const) {
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(options(module, resolution)));
      execFileSync(join(REPO, 'node_modules/.bin/tsc'), ['-p', project], { stdio: 'inherit' });
    }
  });
});
