// Lints all tracked files, and checks their format.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { trackedFiles } from './tracked-files.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = trackedFiles(root).filter((name) => /\.(tsx?|js|json|css)$/.test(name));
const { status } = spawnSync('biome', ['ci', '--error-on-warnings', ...files], { cwd: root, stdio: 'inherit' });
process.exitCode = status ?? 1;
