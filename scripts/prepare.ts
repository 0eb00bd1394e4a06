// Runs as npm's `prepare`. Builds the native addon where Rust is installed, and dist/ when the checkout is installed
// into another project by its folder or git URL, because the package's entry points are there. `npm ci` and
// `npm install` in the checkout itself do not build dist/, but the bundle that `npm start` runs; `npm pack` and
// `npm publish` build dist/ in `prepack`.
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildNative } from './build-native.ts';

const root = realpathSync(fileURLToPath(new URL('..', import.meta.url)));
/** `npm_config_local_prefix`: the project that npm works on. */
const { npm_command: command = '', npm_config_global: isGlobal, npm_config_local_prefix: project = root } = process.env;

const isPacked = command === 'pack' || command === 'publish';
const isForItself =
  (command === 'ci' || command === 'install') && isGlobal !== 'true' && realpathSync(project) === root;

// The package does not contain the addon, as it runs on this machine only. npm clones a git URL into its cache and packs
// the clone.
if (!isPacked && !isBelow(process.env.npm_config_cache)) {
  const failure = await buildNative(root);
  if (failure !== undefined)
    process.stderr.write(`teranode-p2p: native addon not built, libsodium will verify signatures (${failure})\n`);
}

// Not an error where it fails, e.g. without the libraries for development: the sources run then.
if (isForItself && existsSync(join(root, 'node_modules/rolldown')))
  spawnSync(process.execPath, [join(root, 'scripts/make-bundle.ts')], { cwd: root, stdio: 'ignore' });

if (!isPacked && !isForItself) {
  if (!existsSync(join(root, 'node_modules/typescript'))) {
    process.stderr.write(`teranode-p2p cannot be built without its dependencies: run "npm ci" in ${root} first.\n`);
    process.exit(1);
  }
  process.exitCode = spawnSync('npm', ['run', '-s', 'build'], { cwd: root, stdio: 'inherit' }).status ?? 1;
}

function isBelow(folder: string | undefined): boolean {
  return folder !== undefined && existsSync(folder) && root.startsWith(`${realpathSync(folder)}${sep}`);
}
