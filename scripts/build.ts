// Builds dist/: JavaScript and types of src for those who import the package, the program of `bin` in a few files, the
// dashboard, the generated protobuf code, and the version that others see in the user agent.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { versionFromGit } from '../src/lib/version.ts';
import { escapedBeyondLatin1, LOADED_ON_DEMAND } from './bundle-options.ts';
import { buildDashboard } from './make-dashboard.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });
execFileSync('tsc', ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
cpSync(join(root, 'src/gen'), join(dist, 'gen'), { recursive: true });
await bundleProgram();
await bundleLibrary();
await placeDashboard();
// Where there is no git, as in the build of an image, it is told.
const { BUILD_VERSION, BUILD_COMMIT = 'Unknown' } = process.env;
const version = BUILD_VERSION ? { version: BUILD_VERSION, commit: BUILD_COMMIT } : versionFromGit(root);
for (const folder of version === undefined ? [] : ['lib', 'cli', 'bundle'])
  writeFileSync(join(dist, folder, 'build-version.json'), `${JSON.stringify(version)}\n`);

/**
 * dist/cli: the program with the libraries that every start needs, because Node takes longer to find and read two
 * thousand files than to run them. Names of files are the same in each build, so that Node's compile cache replaces
 * what it kept of an older one.
 */
async function bundleProgram(): Promise<void> {
  rmSync(join(dist, 'cli'), { recursive: true });
  await bundle('cli', { main: 'src/cli/main.ts' });
}

/**
 * dist/bundle: what programs import, likewise. The entries share their files, so that classes are the same in all of
 * them; `listen.js` loads none of the server.
 */
async function bundleLibrary(): Promise<void> {
  await bundle('bundle', { index: 'src/index.ts', listen: 'src/library/index.ts', client: 'src/client/index.ts' });
}

/** dist/dashboard, where src/adapters/http/page finds it. */
async function placeDashboard(): Promise<void> {
  const { files } = await buildDashboard(root);
  for (const [name, content] of files) {
    const file = join(dist, 'dashboard', name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

async function bundle(folder: string, entries: Readonly<Record<string, string>>): Promise<void> {
  const input = Object.fromEntries(Object.entries(entries).map(([name, file]) => [name, join(root, file)]));
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    ssr: { noExternal: true, external: LOADED_ON_DEMAND },
    build: {
      ssr: true,
      outDir: join(dist, folder),
      target: 'node22',
      // Names in stack traces are those of the sources.
      minify: false,
      license: { fileName: 'THIRD-PARTY-LICENSES.md' },
      rolldownOptions: {
        input,
        // Else what the entries share would be among their exports, under names of one letter.
        preserveEntrySignatures: 'strict',
        output: { comments: false, entryFileNames: '[name].js', chunkFileNames: 'part-[name].js' },
      },
    },
  });
  const files = readdirSync(join(dist, folder)).filter((name) => name.endsWith('.js'));
  for (const file of files.map((name) => join(dist, folder, name)))
    writeFileSync(file, escapedBeyondLatin1(readFileSync(file, 'utf8'), file));
}
