// Checks the folder borders: who may import whom, which library belongs to which folder, how long a file may be, and
// who may reach past the types of a library; also of the dashboard, which is a program of its own in the browser.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAX_LINES = 400;
/** What a program or another package imports; nothing else lies loose in src. */
const ENTRIES: ReadonlySet<string> = new Set(['index.ts']);

/** What every room of the core may use. */
const BASE = ['lib', 'domain', 'wire', 'ports'] as const;

/** Folder of src -> folders it may import from, besides itself. A file belongs to the longest folder named here. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  gen: [],
  domain: ['lib'],
  wire: ['lib', 'domain'],
  ports: ['lib', 'domain', 'wire'],
  settings: ['lib', 'domain', 'wire'],
  chain: BASE,
  peers: [...BASE, 'chain'],
  bans: [...BASE, 'peers'],
  gossip: [...BASE, 'chain', 'peers', 'bans'],
  handshake: [...BASE, 'chain', 'peers', 'bans'],
  sync: [...BASE, 'chain', 'peers', 'bans'],
  announce: [...BASE, 'chain', 'peers', 'bans'],
  watch: [...BASE, 'gossip'],
  capture: [...BASE, 'peers', 'bans', 'gossip'],
  admin: [...BASE, 'chain', 'peers', 'bans', 'sync', 'watch'],
  adapters: [...BASE, 'settings'],
  'adapters/kafka': [...BASE, 'settings', 'gen'],
  'adapters/rpc': [...BASE, 'settings', 'gen'],
  'adapters/services': [...BASE, 'settings', 'gen', 'adapters/rpc'],
  'adapters/listeners': [...BASE, 'settings'],
  'adapters/grpc': [...BASE, 'settings', 'gen', 'adapters/rpc', 'adapters/listeners'],
  'adapters/http': [...BASE, 'settings', 'adapters/listeners'],
  'adapters/embedded-chain': [...BASE, 'settings', 'adapters/sql'],
  app: ['*'],
  library: ['*'],
  cli: ['*'],
  client: ['lib', 'domain', 'ports', 'gen', 'settings', 'adapters/rpc', 'adapters/grpc'],
  'index.ts': ['*'],
};

/** Room -> the only files through which other rooms enter it; nothing below the room imports the first. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  bans: ['bans/service.ts', 'bans/reports/validation-reports.ts'],
};

/** Library -> the only folders that import it. A library without a row is a breach. */
const HOMES: readonly { readonly library: RegExp; readonly folders: readonly string[] }[] = [
  {
    library: /^(@libp2p\/.*|libp2p|datastore-core|interface-datastore|interface-store)(\/|$)/,
    folders: ['adapters/libp2p'],
  },
  { library: /^multiformats\//, folders: ['adapters/libp2p', 'wire'] },
  { library: /^@multiformats\/multiaddr$/, folders: ['adapters/libp2p', 'settings'] },
  { library: /^sodium-native$/, folders: ['adapters/libp2p'] },
  { library: /^@platformatic\/kafka$/, folders: ['adapters/kafka'] },
  { library: /^(fastify|@fastify\/.*|fastify-type-provider-zod|openapi-types|ws)$/, folders: ['adapters/http'] },
  { library: /^commander$/, folders: ['cli'] },
  { library: /^prom-client$/, folders: ['adapters/metrics'] },
  { library: /^@opentelemetry\//, folders: ['adapters/traces'] },
  { library: /^pino(-pretty)?$/, folders: ['adapters/logging'] },
  { library: /^node:sqlite$/, folders: ['adapters/sql'] },
  { library: /^pg$/, folders: ['adapters/sql'] },
  {
    library: /^(@grpc\/.*|grpc-health-check)$/,
    folders: ['adapters/grpc', 'adapters/rpc', 'adapters/services', 'client'],
  },
  {
    library: /^@bufbuild\/protobuf(\/|$)/,
    folders: ['gen', 'adapters/grpc', 'adapters/kafka', 'adapters/rpc', 'adapters/services', 'client'],
  },
  { library: /^zod$/, folders: ['settings', 'adapters/http', 'adapters/libp2p'] },
  { library: /^ipaddr\.js$/, folders: ['lib', 'wire', 'peers', 'adapters'] },
  { library: /^lru-cache$/, folders: ['*'] },
  { library: /^p-timeout$/, folders: ['lib'] },
  { library: /^node:/, folders: ['*'] },
];

/** The only files of src/adapters that may reach past the types of a library, to parts of it that are private. */
const SEES_PRIVATE_PARTS = /^adapters\/(libp2p\/gossipsub\/internals\.ts$|[^/]+\/patches\/)/;
const CAST_PAST_TYPES = /\bas\s+(unknown|never|any)\s+as\b/;

/** Every breach of the borders in a source folder, one line each. */
export function findBreaches(src: string): string[] {
  return sourceFiles(src).flatMap((file) => breachesOf(src, file));
}

function breachesOf(src: string, file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const name = relative(src, file);
  const lines = text.split('\n').length;
  const breaches =
    lines > MAX_LINES && !name.startsWith('gen/') ? [`${name}: ${lines} lines, at most ${MAX_LINES}`] : [];
  if (!name.includes('/') && !ENTRIES.has(name)) breaches.push(`${name}: lies loose in src; put it into a room`);
  if (name.startsWith('adapters/') && CAST_PAST_TYPES.test(text) && !SEES_PRIVATE_PARTS.test(name))
    breaches.push(`${name}: casts past types ("as unknown as"); private parts of a library belong into patches/`);
  for (const target of importsOf(text)) {
    const breach = target.startsWith('.') ? sourceBreach(src, file, target) : libraryBreach(name, target);
    if (breach !== undefined) breaches.push(`${name}: ${breach}`);
  }
  return breaches;
}

function sourceBreach(src: string, file: string, target: string): string | undefined {
  const path = resolve(dirname(file), target);
  if (!path.startsWith(`${resolve(src)}/`)) return `imports ${target}, outside of src`;
  if (!existsSync(path) && !existsSync(path.replace(/\.js$/, '.d.ts')))
    return `imports ${target}, which does not exist`;
  const from = areaOf(relative(src, file));
  const to = areaOf(relative(src, path));
  const pastDoor = doorBreach(relative(src, file), relative(src, path));
  if (pastDoor !== undefined) return pastDoor;
  const allowed = MAY_IMPORT[from.area];
  if (allowed === undefined) return `folder ${from.area} has no row in the table of borders`;
  if (from.folder === to.folder || allowed.includes('*')) return undefined;
  if (from.area !== to.area && !to.isAdapter && allowed.includes(to.area)) return undefined;
  if (to.isAdapter && allowed.includes(to.folder)) return undefined;
  return from.isAdapter && to.isAdapter
    ? `an adapter imports another: ${to.folder}`
    : `${from.area} may not import ${to.area}`;
}

function doorBreach(file: string, target: string): string | undefined {
  const [room = ''] = target.split('/');
  const doors = DOORS[room];
  if (doors === undefined) return undefined;
  if (!file.startsWith(`${room}/`))
    return doors.includes(target) ? undefined : `passes the door ${doors[0]}: ${target}`;
  return target === doors[0] ? `a part of ${room} imports its door` : undefined;
}

function libraryBreach(name: string, target: string): string | undefined {
  const home = HOMES.find(({ library }) => library.test(target));
  if (home === undefined) return `library ${target} has no row in the table of libraries`;
  if (home.folders.some((folder) => folder === '*' || name.startsWith(`${folder}/`))) return undefined;
  return `${target} belongs into ${home.folders.join(', ')}`;
}

/**
 * `area`: the row of the table that a file falls under; `folder`: its room, for an adapter the one below `adapters/`.
 */
function areaOf(name: string): { area: string; folder: string; isAdapter: boolean } {
  const [first = '', second = ''] = name.split('/');
  const isAdapter = first === 'adapters';
  const folder = isAdapter ? `${first}/${second}` : first;
  return { area: MAY_IMPORT[folder] === undefined ? first : folder, folder, isAdapter };
}

function importsOf(text: string): string[] {
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^'";]*?\bfrom\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/g,
  );
  return [...found].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? '');
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name) && !entry.name.endsWith('.d.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Room of the dashboard -> the rooms it may import from, besides itself. `model` is pure: no library, no browser. */
const DASHBOARD_ROOMS: Readonly<Record<string, readonly string[]>> = {
  model: [],
  data: ['model'],
  parts: ['model', 'data'],
  views: ['model', 'data', 'parts'],
  '': ['model', 'data', 'parts', 'views'],
};
const DASHBOARD_LIBRARIES = /^(preact(\/hooks)?|@preact\/signals|d3-force|uplot(\/dist\/uPlot\.min\.css)?)$/;
/** Of src it knows the types of the API's answers, in one file. */
const API_TYPES = 'model/api-types.ts';

/** Every breach of the borders in the folder of the dashboard, one line each. */
export function findDashboardBreaches(folder: string): string[] {
  return sourceFiles(folder).flatMap((file) => {
    const name = relative(folder, file);
    const text = readFileSync(file, 'utf8');
    const runs = importsOf(text.replaceAll(/^import type [^;]*;/gm, ''));
    return importsOf(text)
      .filter((target) => !isAllowedInDashboard(folder, file, target, runs.includes(target)))
      .map((target) => `${name}: may not import ${target}`);
  });
}

function isAllowedInDashboard(folder: string, file: string, target: string, isRun: boolean): boolean {
  const name = relative(folder, file);
  const [room = ''] = name.includes('/') ? name.split('/') : [];
  if (!target.startsWith('.')) return room === 'model' ? !isRun && target === 'zod' : DASHBOARD_LIBRARIES.test(target);
  const to = relative(folder, resolve(dirname(file), target));
  if (to.startsWith('../src/')) return name === API_TYPES && !isRun;
  const [toRoom = ''] = to.includes('/') ? to.split('/') : [];
  return !to.startsWith('..') && (room === toRoom || DASHBOARD_ROOMS[room]?.includes(toRoom) === true);
}

if (import.meta.main) {
  const breaches = [
    ...findBreaches(fileURLToPath(new URL('../src', import.meta.url))),
    ...findDashboardBreaches(fileURLToPath(new URL('../dashboard', import.meta.url))).map(
      (each) => `dashboard/${each}`,
    ),
  ];
  for (const breach of breaches) process.stderr.write(`${breach}\n`);
  process.exitCode = breaches.length > 0 ? 1 : 0;
}
