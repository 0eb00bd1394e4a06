// Checks the folder borders: who may import whom, which library belongs to which folder, how long a file may be.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAX_LINES = 400;

/** Folder of src -> folders it may import from, besides itself. Files directly in src are areas of their own name. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  'bounded-queue': [],
  repeating: [],
  pause: [],
  gen: [],
  version: [],
  wire: ['errors', 'gen'],
  ports: ['errors', 'wire'],
  settings: ['errors', 'wire'],
  peers: ['errors', 'bounded-queue', 'repeating', 'wire', 'ports'],
  bans: ['errors', 'bounded-queue', 'repeating', 'pause', 'wire', 'ports'],
  gossip: ['errors', 'bounded-queue', 'repeating', 'wire', 'ports', 'peers', 'bans'],
  announce: ['errors', 'bounded-queue', 'repeating', 'wire', 'ports', 'peers', 'bans'],
  handshake: ['errors', 'bounded-queue', 'repeating', 'wire', 'ports', 'peers', 'bans'],
  sync: ['errors', 'bounded-queue', 'repeating', 'wire', 'ports', 'peers', 'bans'],
  'notification-hub': ['ports'],
  health: ['errors', 'wire', 'ports'],
  'network-member': [
    'errors',
    'wire',
    'ports',
    'peers',
    'bans',
    'gossip',
    'announce',
    'handshake',
    'sync',
    'notification-hub',
    'recent',
  ],
  server: [
    'errors',
    'bounded-queue',
    'repeating',
    'wire',
    'ports',
    'peers',
    'bans',
    'gossip',
    'announce',
    'handshake',
    'sync',
    'health',
    'notification-hub',
    'network-member',
    'liveness',
  ],
  adapters: ['errors', 'bounded-queue', 'repeating', 'pause', 'gen', 'wire', 'ports', 'settings'],
  'node-options': ['adapters', 'settings'],
  'ban-options': ['*'],
  'member-options': ['*'],
  'service-clients': ['*'],
  'node-view': ['ports', 'network-member'],
  recent: ['ports', 'gossip'],
  liveness: ['ports', 'health'],
  'peer-admin': ['errors', 'wire', 'ports', 'bans', 'peers', 'sync'],
  compose: ['*'],
  cli: ['*'],
  index: ['*'],
  client: ['*'],
};

/** Library -> the only folders that import it. */
const HOMES: readonly { readonly library: RegExp; readonly folders: readonly string[] }[] = [
  { library: /^(@libp2p\/|libp2p$|datastore-core|interface-)/, folders: ['adapters/libp2p'] },
  { library: /^@multiformats\/multiaddr$/, folders: ['adapters/libp2p', 'settings'] },
  { library: /^@platformatic\/kafka$/, folders: ['adapters/kafka'] },
  { library: /^fastify$/, folders: ['adapters/http'] },
  { library: /^prom-client$/, folders: ['adapters/metrics'] },
  { library: /^pino/, folders: ['adapters/logging'] },
  { library: /^node:sqlite$/, folders: ['adapters/sql'] },
  { library: /^pg$/, folders: ['adapters/sql'] },
  { library: /^(@grpc\/|grpc-health-check$)/, folders: ['adapters/grpc'] },
  { library: /^@bufbuild\/protobuf/, folders: ['gen', 'wire', 'adapters/grpc'] },
];

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
  const isSibling = from.area === 'adapters' && to.area === 'adapters' && from.folder !== to.folder;
  if (isSibling) return `an adapter imports another: ${to.folder}`;
  const allowed = MAY_IMPORT[from.area];
  if (allowed === undefined) return `area ${from.area} has no row in the table of borders`;
  return from.area === to.area || allowed.includes('*') || allowed.includes(to.area)
    ? undefined
    : `${from.area} may not import ${to.area}`;
}

function libraryBreach(name: string, target: string): string | undefined {
  const home = HOMES.find(({ library }) => library.test(target));
  if (home === undefined || home.folders.some((folder) => name.startsWith(`${folder}/`))) return undefined;
  return `${target} belongs into ${home.folders.join(', ')}`;
}

function areaOf(name: string): { area: string; folder: string } {
  const [first = '', second = ''] = name.split('/');
  return { area: first.replace(/\.ts$/, ''), folder: `${first}/${second}` };
}

function importsOf(text: string): string[] {
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^'";]*?\bfrom\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/g,
  );
  return [...found].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? '');
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

if (import.meta.main) {
  const breaches = findBreaches(fileURLToPath(new URL('../src', import.meta.url)));
  for (const breach of breaches) process.stderr.write(`${breach}\n`);
  process.exitCode = breaches.length > 0 ? 1 : 0;
}
