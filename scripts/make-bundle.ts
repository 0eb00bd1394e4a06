// Makes the bundle that scripts/run.js runs, in .cache/program: the program and the libraries that every start needs, in
// a few files, and beside them the dashboard. `npm ci` runs it, and a start after an edit.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Plugin, rolldown } from 'rolldown';
import { escapedBeyondLatin1, LOADED_ON_DEMAND } from './bundle-options.ts';
import { bundleFolders, currentBundle, fingerprintOf, INPUTS } from './bundles.js';
import { buildDashboard } from './make-dashboard.ts';

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
/** Decide what a bundle is, beside its sources; the lock file says which libraries are installed. */
const OTHER_SOURCES = [
  ...['make-bundle.ts', 'make-dashboard.ts', 'bundle-options.ts'].map((name) => `scripts/${name}`),
  ...['tsconfig.json', 'package.json'],
];
const DASHBOARD = 'dashboard';
const INSTALLED = 'node_modules/.package-lock.json';
const LEFT_BEHIND_MS = 600_000;

/** What was read, so that an edit during the build does not count as built. */
const sources = new Map<string, Buffer>();

function read(path: string): Buffer {
  const content = sources.get(path) ?? readFileSync(join(root, path));
  sources.set(path, content);
  return content;
}

const noted: Plugin = {
  name: 'note sources',
  load: {
    filter: { id: /\/src\/.*\.[jt]s$/ },
    handler: (id) => {
      const path = relative(root, id);
      if (!path.startsWith(`src${sep}`)) return undefined;
      return { code: read(path).toString('utf8'), moduleType: id.endsWith('.ts') ? 'ts' : 'js' };
    },
  },
  // Without maps of libraries and generated code: they would be most of it.
  transform: {
    filter: { id: /\/node_modules\/|\/src\/gen\// },
    handler: (code) => ({ code, map: { version: 3, sources: [], names: [], mappings: '' } }),
  },
};

async function makeBundle(): Promise<void> {
  for (const path of [...OTHER_SOURCES, ...dashboardSources()]) read(path);
  // At the same time; it takes a third of the time.
  const page = buildDashboard(root);
  // Whoever is told of its failure waits below.
  page.catch(() => {});
  const bundle = await rolldown({
    input: join(root, 'src/cli/main.ts'),
    cwd: root,
    platform: 'node',
    external: (id) => LOADED_ON_DEMAND.some((name) => id === name || id.startsWith(`${name}/`)),
    plugins: [noted],
  });
  const { output } = await bundle.generate({
    format: 'esm',
    comments: false,
    sourcemap: true,
    sourcemapExcludeSources: true,
    // The same in each build, so that Node's compile cache replaces what it kept of an older one.
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
  });
  const modules = output.flatMap((each) => (each.type === 'chunk' ? each.moduleIds : []));
  const paths = new Set(modules.filter(isAbsolute).map((id) => relative(root, id)));
  const dashboard = await page;
  for (const file of dashboard.libraries) paths.add(relative(root, file));
  const libraries = [...paths].filter((path) => !sources.has(path)).sort();
  const installed = existsSync(join(root, INSTALLED)) ? [INSTALLED] : [];
  const inputs = { sources: [...sources.keys()].sort(), libraries: [...libraries, ...installed] };
  const fingerprint = fingerprintOf(root, inputs, read);
  const files = output.map((each) => {
    const content = each.type === 'chunk' ? escapedBeyondLatin1(each.code, each.fileName) : each.source;
    return [each.fileName, content] as const;
  });
  const pageFiles = dashboard.files.map(([name, content]) => [join(DASHBOARD, name), content] as const);
  place([...files, ...pageFiles, [INPUTS, JSON.stringify({ ...inputs, fingerprint })]]);
}

/** Read before they are built, so that of an edit in between no older page is taken for built. */
function dashboardSources(): string[] {
  return readdirSync(join(root, DASHBOARD), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

/**
 * In the place of the oldest bundle; whole or not at all. A bundle that another start made meanwhile stays: that start may
 * be running it.
 */
function place(files: readonly (readonly [name: string, content: string | Uint8Array])[]): void {
  const folders = bundleFolders(root);
  const parent = dirname(folders[0] ?? '');
  mkdirSync(parent, { recursive: true });
  for (const name of readdirSync(parent)) {
    const isLeftBehind = name.startsWith('new-') && Date.now() - madeAtMs(join(parent, name)) > LEFT_BEHIND_MS;
    if (isLeftBehind) rmSync(join(parent, name), { recursive: true, force: true });
  }
  const made = mkdtempSync(join(parent, 'new-'));
  try {
    for (const [name, content] of files) {
      mkdirSync(dirname(join(made, name)), { recursive: true });
      writeFileSync(join(made, name), content);
    }
    // Made by mkdtemp for its owner alone, who need not be the one that runs the server.
    chmodSync(made, 0o777 & ~process.umask());
    if (currentBundle(root) !== undefined) return;
    const oldest = folders.toSorted((a, b) => madeAtMs(a) - madeAtMs(b))[0] ?? '';
    rmSync(oldest, { recursive: true, force: true });
    renameSync(made, oldest);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

function madeAtMs(folder: string): number {
  return statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

try {
  await makeBundle();
} catch (error) {
  const [reason = ''] = String(error).split('\n');
  process.stderr.write(`teranode-p2p runs from its sources: no bundle (${reason})\n`);
  process.exitCode = 1;
}
