// Runs the program of this checkout, for `npm start` and `npm run cli`: from a bundle of the sources, because Node takes
// three times as long to start from 400 files of TypeScript, and keeps 50 MB for it. A bundle that is not of the sources
// as they are is never run: another is made first (a second or two). Where none can be made, the sources run. JavaScript,
// because the first TypeScript that Node loads costs most of what is saved.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { currentBundle } from './bundles.js';
import { nameSourceLines } from './source-lines.js';

const root = fileURLToPath(new URL('..', import.meta.url));
/** The process that makes a bundle. */
let maker;

// Until src/cli/stop-signals.ts takes over: a start that is told to stop before it has begun has not failed.
if (process.argv[2] === 'start' || process.argv[2] === 'devnet')
  for (const name of ['SIGTERM', 'SIGINT'])
    process.on(name, () => {
      maker?.kill();
      process.exit(0);
    });

const bundle = currentBundle(root) ?? (await makeBundle());
if (bundle !== undefined) nameSourceLines(bundle);
await import(pathToFileURL(bundle === undefined ? join(root, 'src/cli/main.ts') : join(bundle, 'main.js')).href);

/** In a process of its own, whose memory ends with it. */
async function makeBundle() {
  // Without the libraries for development.
  if (!existsSync(join(root, 'node_modules/rolldown'))) return undefined;
  maker = spawn(process.execPath, [join(root, 'scripts/make-bundle.ts')], { stdio: ['ignore', 'ignore', 'inherit'] });
  await new Promise((resolve) => maker.once('exit', resolve).once('error', resolve));
  maker = undefined;
  return currentBundle(root);
}
