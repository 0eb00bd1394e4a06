// The README's commands in fresh clones, under the npm versions that come with Node: start, test, a node that mines,
// a second node that joins it, and a project that uses the clone. PATH holds no Node but the system's.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { freePort } from '../support/kafka-broker.ts';
import { REPO } from '../support/repo.ts';
import { PLAIN_PATH, ServerProcess } from '../support/server-process.ts';
import { requireTool } from '../support/tools.ts';
import { waitFor } from '../support/wait.ts';

/** The shipped settings.conf mines every 10 s. */
const BLOCK_DEADLINE_MS = 20_000;

/** Node 18 to 22 bring npm 9 or 10, which leave the installed Node out of node_modules/.bin; Node 24 brings npm 11. */
const [npm10, npm11] = [newMachine('10.9.8'), newMachine('11.19.1')];

/** A folder with an npm of this version and a clone, and a search path that finds that npm. */
function newMachine(version: string) {
  const folder = temporaryFolder(`npm-${version}`);
  return {
    version,
    folder,
    clone: join(folder, 'teranode-p2p'),
    path: `${join(folder, 'node_modules/.bin')}:${PLAIN_PATH}`,
  };
}

/** The folder of a project that is not this one. */
function newProject(): string {
  const folder = temporaryFolder('project');
  writeFileSync(join(folder, 'package.json'), '{ "name": "project", "private": true, "type": "module" }');
  return folder;
}

/** Runs to its end and returns stdout; throws with stderr when it fails. */
async function run(command: string, args: string[], cwd: string, path = PLAIN_PATH): Promise<string> {
  // What cargo compiled of the libraries for this checkout, so that the addon of a clone takes seconds.
  const CARGO_TARGET_DIR = join(REPO, 'native/target');
  const env = { PATH: path, HOME: process.env.HOME ?? '', NO_COLOR: '1', CARGO_TARGET_DIR };
  return (await promisify(execFile)(command, args, { cwd, env, timeout: 280_000 })).stdout;
}

/** A cargo that fails, as on a machine whose Rust is too old, before that of the machine. */
function breakCargo(folder: string): void {
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  writeFileSync(join(folder, 'node_modules/.bin/cargo'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
}

beforeAll(async () => {
  requireTool('cargo', ['--version'], 'Rust 1.88 or newer');
  await Promise.all(
    [npm10, npm11].map(async ({ version, folder, clone, path }) => {
      await run('npm', ['install', '--no-audit', '--no-fund', `npm@${version}`], folder);
      await run('git', ['clone', '--quiet', REPO, clone], folder);
      if (version === npm11.version) breakCargo(folder);
      await run('npm', ['ci'], clone, path);
    }),
  );
});

describe.each([npm10, npm11])('a fresh clone under npm $version', ({ version, clone, path }) => {
  test('npm ci && npm start becomes ready and healthy, and SIGTERM to npm ends it with exit code 0', async () => {
    expect(await run('npm', ['--version'], clone, path)).toBe(`${version}\n`);
    const settings = { p2p_port: '0', p2p_http_listen_address: '127.0.0.1:0', p2p_grpc_listen_address: '127.0.0.1:0' };
    const server = await ServerProcess.start({ folder: clone, asShipped: true, path, settings });
    expect(await server.get('/health')).toEqual({ status: 200, body: 'OK' });
    // npm 10 finds the Rust of this machine, npm 11 one that fails.
    const started = server.output.json.find(({ event }) => event === 'node started');
    expect(started).toMatchObject(
      version === npm10.version
        ? { verifier: 'native' }
        : { verifier: 'libsodium', nativeAddon: expect.stringMatching(/^not built: /) },
    );
    const { pid } = server;
    expect((await server.stop()).code).toBe(0);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  test('npm install <folder of the clone> in another project gives it the library and the program', async () => {
    const project = newProject();
    await run('npm', ['install', '--no-audit', '--no-fund', clone], project, path);
    const use = "import { decodeBlock } from 'teranode-p2p'; console.log(decodeBlock(new Uint8Array()).ok);";
    const node = [join(clone, 'scripts/with-node.sh'), 'node'] as const;
    expect(await run(node[0], [node[1], '--input-type=module', '-e', use], project)).toBe('false\n');
    const program = join(project, 'node_modules/.bin/teranode-p2p');
    expect(await run(node[0], [node[1], program, '--help'], project)).toContain('teranode-p2p start');
  });

  // One folder of tests shows whether the right Node runs them; CI runs all of them under the machine's npm.
  test('npm ci && npm test passes with a folder of unit tests', async () => {
    expect(await run('npm', ['test', '--', 'test/unit/wire'], clone, path)).toMatch(/Tests {2}\d+ passed \(/);
  });
});

describe('a fresh clone', () => {
  const { clone, path } = npm10;

  test('npm ci && npm start becomes ready and healthy and mines a block; a second node started as in the README joins it', async () => {
    // In the place of the three ports that settings.conf fixes, so that two nodes compete for them as they would there.
    const ports = {
      P2P_PORT: String(await freePort()),
      P2P_HTTP_PORT: String(await freePort()),
      P2P_GRPC_PORT: String(await freePort()),
    };
    const first = await ServerProcess.start({ folder: clone, asShipped: true, path, settings: ports });
    let second: ServerProcess | undefined;
    try {
      expect(first.ready).toMatchObject({
        listenAddresses: [`/ip4/127.0.0.1/tcp/${ports.P2P_PORT}/p2p/${first.peerId}`],
        httpAddress: `127.0.0.1:${ports.P2P_HTTP_PORT}`,
        grpcAddress: `127.0.0.1:${ports.P2P_GRPC_PORT}`,
      });
      expect(existsSync(join(clone, 'data/admin.key'))).toBe(true);
      expect(await first.get('/health')).toEqual({ status: 200, body: 'OK' });

      second = await ServerProcess.start({
        folder: clone,
        asShipped: true,
        path,
        settings: { ...ports, ...secondNode(first.address) },
      });
      expect(second.peerId).not.toBe(first.peerId);
      for (const [node, other] of [
        [first, second],
        [second, first],
      ] as const) {
        await waitFor(async () => (await node.metric('teranode_p2p_connected_peers')) === 1, {
          what: 'the connection',
        });
        expect((await node.get('/api/v1/peers')).body).toContain(other.peerId);
      }

      const mined = await waitFor(() => first.output.json.find(({ event }) => event === 'block mined'), {
        timeoutMs: BLOCK_DEADLINE_MS,
        what: 'a block',
      });
      const { bestHeight } = JSON.parse((await first.get('/api/v1/sync')).body);
      expect(bestHeight).toBeGreaterThanOrEqual(Number(mined.height));
    } finally {
      await second?.stop();
      expect((await first.stop()).code).toBe(0);
    }
  });

  test('what a node and its user leave in the folder is not for git, and fails no check', async () => {
    expect(existsSync(join(clone, 'data2/lock.db'))).toBe(true);
    writeFileSync(join(clone, 'settings_local.conf'), 'p2p_port = 0\n');
    expect(await run('git', ['status', '--porcelain'], clone)).toBe('');
    mkdirSync(join(clone, 'node3'));
    for (const name of ['node3/peers.json', 'bans.json', 'try.ts']) writeFileSync(join(clone, name), '{"a":  [1 ,]');
    writeFileSync(join(clone, 'NOTES.md'), `[nowhere](nowhere.md) ${'x'.repeat(200)}\n`);
    await run('npm', ['run', '-s', 'check:lint'], clone, path);
    await run(
      'scripts/with-node.sh',
      ['node', 'scripts/check-docs.ts'],
      clone,
      `${join(clone, 'node_modules/.bin')}:${path}`,
    );
  });

  test('npm install <folder of the clone> before npm ci names the command that is missing', async () => {
    const bare = join(temporaryFolder('bare'), 'teranode-p2p');
    await run('git', ['clone', '--quiet', REPO, bare], clone);
    const refused = run('npm', ['install', '--no-audit', '--no-fund', bare], newProject(), path);
    await expect(refused).rejects.toThrow(/teranode-p2p .*npm ci/);
  });

  /** The variables before `npm start` in the README's command for a second node, its address replaced. */
  function secondNode(address: string): Record<string, string> {
    const readme = readFileSync(join(clone, 'README.md'), 'utf8');
    const command = /^((?:\w+=\S+ )*p2p_static_peers=\S+ (?:\w+=\S+ )*)npm start$/m.exec(readme)?.[1] ?? '';
    const variables = Object.fromEntries(
      [...command.matchAll(/(\w+)=(\S+) /g)].map(([, name, value]) => [name, value]),
    );
    expect(variables.p2p_static_peers).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/9905\/p2p\//);
    return { ...variables, p2p_static_peers: address };
  }
});
