// Runs as npm's `prepare`: builds dist/ when the checkout is installed into another project by its folder or git URL,
// because the package's entry points are there. Plain JavaScript, because it runs under the Node.js of the user's npm.
// `npm ci` and `npm install` in the checkout itself build nothing, as its scripts run the sources; `npm pack` and
// `npm publish` build in `prepack`.
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = realpathSync(fileURLToPath(new URL('..', import.meta.url)));
const { npm_command: command = '', npm_config_global: isGlobal, INIT_CWD: calledFrom = root } = process.env;

const isPacked = command === 'pack' || command === 'publish';
const isForItself =
  (command === 'ci' || command === 'install') && isGlobal !== 'true' && realpathSync(calledFrom) === root;

if (!isPacked && !isForItself) {
  if (!existsSync(join(root, 'node_modules/typescript'))) {
    console.error(`teranode-p2p cannot be built without its dependencies: run "npm ci" in ${root} first.`);
    process.exit(1);
  }
  const { status } = spawnSync('npm', ['run', '-s', 'build'], { cwd: root, stdio: 'inherit' });
  process.exit(status === null ? 1 : status);
}
