// A host program for a listener: joins the network of the peer given as argument, reads until a block comes, closes, and
// compares what other code in its process could notice. Prints nothing; a difference makes it fail with its name.
import { builtinModules } from 'node:module';

type Snapshot = Map<string, unknown>;

/** Own properties of an object: the value of each, or its accessors. */
function addObject(into: Snapshot, name: string, object: object): void {
  for (const key of Reflect.ownKeys(object)) {
    const { value, get, set } = Reflect.getOwnPropertyDescriptor(object, key) ?? {};
    const at = `${name}.${String(key)}`;
    into.set(at, typeof value === 'number' || typeof value === 'string' ? undefined : value);
    if (get !== undefined || set !== undefined) into.set(`${at} accessors`, get ?? set);
  }
}

function addWithPrototype(into: Snapshot, name: string, value: unknown): void {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return;
  addObject(into, name, value);
  if (typeof value === 'function' && typeof value.prototype === 'object' && value.prototype !== null)
    addObject(into, `${name}.prototype`, value.prototype);
}

const BUILTINS = builtinModules.filter(
  (name) => !name.startsWith('_') && !/^(punycode|sys|node:|trace_events|wasi)/.test(name),
);
const modules = await Promise.all(BUILTINS.map(async (name) => [name, await import(name)] as const));

function snapshot(): Snapshot {
  const taken: Snapshot = new Map();
  addObject(taken, 'globalThis', globalThis);
  for (const key of Object.getOwnPropertyNames(globalThis)) {
    // Its own properties change as it runs.
    if (key !== 'process' && key !== 'performance') addWithPrototype(taken, key, Reflect.get(globalThis, key));
  }
  for (const [name, module] of modules)
    for (const [key, value] of Object.entries(module as object)) {
      if (key !== 'default' && name !== 'process') addWithPrototype(taken, `${name}.${key}`, value);
    }
  for (const key of ['emit', 'emitWarning', 'exit', 'on', 'nextTick', 'stdout', 'stderr'] as const)
    taken.set(`process.${key}`, process[key]);
  for (const name of process.eventNames())
    taken.set(`listeners of process ${String(name)}`, process.listenerCount(name));
  taken.set('environment', JSON.stringify(process.env));
  taken.set('folder', process.cwd());
  return taken;
}

/**
 * Not counted: modules that were loaded, and two listeners of mortice, the lock of libp2p's peer store, on messages of
 * cluster workers. It adds them once per process.
 */
const EXPECTED = /^(module\._cache\.|cluster\._events\.message$)/;

const before = snapshot();
const { listen } = await import('../../src/index.ts');
let seen = '';
for await (const event of listen('mainnet', { bootstrapPeers: [process.argv[2] ?? ''], allowPrivateIps: true })) {
  seen = event.type;
  if (event.type === 'block') break;
}
const after = snapshot();
const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
  (key) => before.get(key) !== after.get(key) && !EXPECTED.test(key),
);
if (seen !== 'block') changed.push(`the last event, which was "${seen}"`);
if (changed.length > 0) throw new Error(`changed: ${changed.join(', ')}`);
