// Builds dist/: JavaScript and types of src, the generated protobuf code, and the version that others see in the user
// agent.
import { execFileSync } from 'node:child_process';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { versionFromGit } from '../src/lib/version.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });
execFileSync('tsc', ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
cpSync(join(root, 'src/gen'), join(dist, 'gen'), { recursive: true });
const version = versionFromGit(root);
if (version !== undefined) writeFileSync(join(dist, 'lib/build-version.json'), `${JSON.stringify(version)}\n`);
