// deploy/Dockerfile without a container runtime: its commands run as written over this machine's root, and its program
// runs with the image's user, environment, volume and health check, in namespaces of its own with a read-only root.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ImageFile, parsedBy } from '../support/go-deploy.ts';
import { type BuiltImage, buildImage } from '../support/image-build.ts';
import { healthCheck, ImageContainer } from '../support/image-container.ts';
import { REPO } from '../support/repo.ts';
import { requireTool } from '../support/tools.ts';

const USER = '10001';
/** A node that dials nobody. */
const SETTINGS = { SETTINGS_CONTEXT: 'testnet', p2p_wire: 'message-bus', p2p_bootstrap_peers: 'none' };
/** Of compose.yaml; Docker's own default is ten seconds. */
const GRACE_MS = 20_000;

let image: BuiltImage;

beforeAll(async () => {
  requireTool('cargo', ['--version'], 'Rust 1.88 or newer');
  requireTool('unshare', ['--version'], 'Debian package util-linux');
  requireTool('ip', ['-V'], 'Debian package iproute2');
  const file = parsedBy<ImageFile>('dockerfile', join(REPO, 'deploy/Dockerfile'));
  image = await buildImage(file.stages, REPO);
  // A minute and a half of CPU; the rest is for downloads and busy machines.
}, 600_000);

afterAll(() => {
  image?.space.end();
});

test('the image has the program and production dependencies, and no sources, development tools or second Node.js', () => {
  const app = image.space.outside(image.layers[0] ?? '', 'app');
  expect(readdirSync(app).sort()).toEqual(
    ['LICENSE', 'bin', 'dist', 'native', 'node_modules', 'package.json', 'proto', 'settings.conf'].sort(),
  );
  expect(readdirSync(join(app, 'native'))).toEqual(['teranode-p2p-native.node']);
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8'));
  const has = (name: string) => existsSync(join(app, 'node_modules', name));
  expect(Object.keys(dependencies).filter((name) => !has(name))).toEqual([]);
  // Some of these come with a dependency.
  for (const name of ['@biomejs/biome', 'knip', 'rolldown', 'typescript', 'vite', 'vitest']) {
    expect(devDependencies).toHaveProperty([name]);
    expect(has(name)).toBe(false);
  }
  expect(readdirSync(join(app, 'node_modules')).filter((name) => name.startsWith('node-linux'))).toEqual([]);
});

test('the program runs as the first process of a user without privileges on a read-only root, with the native addon', async () => {
  const container = new ImageContainer(image, SETTINGS);
  await container.ready();
  const status = readFileSync(`/proc/${container.pid}/status`, 'utf8');
  expect(status).toMatch(new RegExp(`^Uid:\\s+${USER}\\s+${USER}\\s+${USER}`, 'm'));
  expect(status).toMatch(/^CapEff:\s+0+$/m);
  expect(status).toMatch(/^NSpid:\s+\d+\s+1$/m);
  const started = container.output.json.find(({ event }) => event === 'node started');
  expect(started).toMatchObject({ verifier: 'native' });
  for (const folder of ['/app', '/etc', '/usr/local/bin'])
    expect(container.exec(['touch', `${folder}/file`]).output).toContain('Read-only file system');
  expect(container.exec(['ls', '/data']).output).toContain('admin.key');
  expect(container.exec(['teranode-p2p', 'status', '--settings', '/app'])).toMatchObject({ code: 0 });

  expect(container.exec(healthCheck(image))).toEqual({ code: 0, output: '' });
  container.signal('SIGSTOP');
  expect(container.exec(healthCheck(image)).code).toBe(1);
  container.signal('SIGCONT');
  expect(container.exec(healthCheck(image)).code).toBe(0);

  container.signal('SIGTERM');
  const timer = setTimeout(() => container.kill(), GRACE_MS);
  expect(await container.ended()).toBe(0);
  clearTimeout(timer);
});

test('the health check fails where no server answers', async () => {
  const container = new ImageContainer(image, {}, healthCheck(image));
  expect(await container.ended()).toBe(1);
});

test('invalid settings end the container with the code of invalid settings', async () => {
  const container = new ImageContainer(image, { ...SETTINGS, p2p_port: 'high' });
  expect(await container.ended()).toBe(2);
});
