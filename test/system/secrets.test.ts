// What other users of the machine learn from a node: its files, its log, its settings as they are shown.
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

/** Every part of these URLs that contains `hidden` is a secret. */
const URLS = {
  asset_httpPublicAddress: 'https://hidden-token-1@node.example/api/v1?sig=hidden2#hidden3',
  kafka_blocksConfig: 'memory://local/blocks?partitions=1&sasl_password=hidden4%23hidden5',
  kafka_subtreesConfig: 'memory://local/subtrees?auth=hidden6&next=hidden7',
  p2p_ban_store: 'sqlitememory:///bans',
  subtreevalidation_blacklisted_baseurls: 'https://operator:hidden8#hidden9@node.example/',
};
/** Nobody answers there. */
const BOOTSTRAP = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWDsRPXvXXUJoK3MpZL5ENQsHarF8Rk6J96CFet6uJGxvu';

const umask = process.umask(0);
const dataFolder = join(temporaryFolder('open'), 'data');
const oldFile = join(dataFolder, 'bans.db');
let node: ServerProcess;
let neighbour: ServerProcess;

beforeAll(async () => {
  mkdirSync(dataFolder);
  chmodSync(dataFolder, 0o755);
  // Of an older version; an empty file is a new database.
  writeFileSync(oldFile, '', { mode: 0o644 });
  const wires = { p2p_wire: 'both', p2p_go_p2p_port: '0', p2p_bootstrap_peers: BOOTSTRAP };
  const { p2p_ban_store: _memory, ...urls } = URLS;
  node = await ServerProcess.start({ dataFolder, settings: { ...wires, ...urls } });
  const peers = { p2p_static_peers: `${node.addressOn('go-p2p')} | ${node.addressOn('message-bus')}` };
  neighbour = await ServerProcess.start({ settings: { ...wires, ...peers, p2p_ban_store: URLS.p2p_ban_store } });
  await waitFor(async () => (await node.metric('teranode_p2p_connected_peers')) >= 1, { what: 'the neighbour' });
});

afterAll(async () => {
  process.umask(umask);
  await Promise.all([node?.stop(), neighbour?.stop()]);
});

/** Name and permissions of every file of the folder. */
function modes(): Record<string, string> {
  const files = readdirSync(dataFolder, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => [entry.name, (statSync(join(entry.parentPath, entry.name)).mode & 0o777).toString(8)]),
  );
}

test('a folder that other users can read is warned of, once', () => {
  const warnings = node.output.json.filter(({ folder }) => folder === dataFolder);
  expect(warnings).toEqual([expect.objectContaining({ level: 'warn', mode: '755' })]);
  expect(neighbour.output.json.filter(({ folder }) => folder === neighbour.dataFolder)).toEqual([]);
});

test('the log names the file of the generated admin key and not the key', () => {
  const file = join(dataFolder, 'admin.key');
  const key = readFileSync(file, 'utf8').trim();
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(node.output.json).toContainEqual({
    level: 'info',
    time: expect.any(Number),
    event: 'generated admin key',
    file,
  });
  expect(JSON.stringify(node.output.json) + node.output.text.join('\n')).not.toContain(key);
});

test('passwords and tokens in URLs are shown neither by the HTTP API nor in the log', async () => {
  const { status, body } = await node.get('/api/v1/settings');
  expect(status).toBe(200);
  const shown = Object.fromEntries(
    (JSON.parse(body).settings as { key: string; value: string }[]).map(({ key, value }) => [key, value]),
  );
  expect(shown).toMatchObject({
    asset_httpPublicAddress: 'https://********@node.example/api/v1?sig=********',
    kafka_blocksConfig: 'memory://local/blocks?partitions=1&sasl_password=********',
    kafka_subtreesConfig: 'memory://local/subtrees?auth=********',
    subtreevalidation_blacklisted_baseurls: 'https://operator:********@node.example/',
  });
  expect(body).not.toContain('hidden');
  expect(JSON.stringify(node.output.json)).toContain('https://********@node.example/api/v1');
  expect(JSON.stringify(node.output.json)).not.toContain('hidden');
});

// Last: it stops the node.
test('every file of the data folder is for its owner only, whatever the umask and the mode of the folder', async () => {
  const running = modes();
  for (const name of ['admin.key', 'bans.db', 'bans.db-wal', 'bans.db-shm', 'blockchain.db', 'lock.db', 'p2p.key'])
    expect(running).toHaveProperty([name]);
  expect((await node.stop()).code).toBe(0);
  const stopped = modes();
  expect(Object.keys(stopped).filter((name) => name.endsWith('.json')).length).toBeGreaterThanOrEqual(2);
  expect(new Set([...Object.values(running), ...Object.values(stopped)])).toEqual(new Set(['600']));
});
