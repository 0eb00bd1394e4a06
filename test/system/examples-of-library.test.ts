// The examples of the library, and the command `listen`, run as they stand against a Go peer of message-bus with a DataHub.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { hashHeader } from '../../src/wire/header.ts';
import { busBlock, busSubtree } from '../support/bus-network.ts';
import { endWithTests } from '../support/cleanup.ts';
import { busTopics, GoBus } from '../support/go-bus.ts';
import { collectLines } from '../support/json-lines.ts';
import { GENESIS, mineChain } from '../support/mined.ts';
import { dataJson } from '../support/recorded.ts';
import { COMPILE_CACHE, REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const topics = busTopics('regtest');
const main = [GENESIS.header, ...mineChain(GENESIS.header, 20, 'main')];
const branch = [...main.slice(0, 16), ...mineChain(main[15] as Uint8Array, 10, 'branch')];
const TX_ID = 'ab'.repeat(32);

let bus: GoBus;
let dataHub: { readonly url: string; close(): void };

/** A DataHub that has both chains. */
async function startDataHub() {
  const server = createServer(({ url = '' }, response) => {
    const [, route, hash = ''] = /\/api\/v1\/([a-z_]+)\/([0-9a-f]{64})/.exec(url) ?? [];
    const chain = [main, branch].find((each) => each.some((header) => hashHeader(header) === hash)) ?? [];
    const at = chain.findIndex((header) => hashHeader(header) === hash);
    const count = Number(new URL(url, 'http://x').searchParams.get('n') ?? 100);
    const locator = new URL(url, 'http://x').searchParams.get('block_locator_hashes')?.match(/.{64}/g) ?? [];
    const ancestor = locator
      .map((each) => chain.findIndex((header) => hashHeader(header) === each))
      .find((i) => i >= 0);
    const answers: Record<string, readonly Uint8Array[]> = {
      header: chain.slice(at, at + 1),
      headers: chain
        .slice(0, at + 1)
        .reverse()
        .slice(0, count),
      headers_from_common_ancestor: chain.slice(ancestor ?? 0, at + 1).slice(0, count),
    };
    const body = Buffer.concat(answers[route ?? ''] ?? []);
    response.writeHead(body.length > 0 ? 200 : 404, { 'content-type': 'application/octet-stream' }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`, close: () => server.close() };
}

beforeAll(async () => {
  bus = await GoBus.start({ name: 'miner', network: 'regtest' });
  dataHub = await startDataHub();
});

afterAll(async () => {
  await bus?.stop();
  dataHub?.close();
});

/** Runs a program of this checkout until the test ends or stops it. */
function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, args, {
    cwd: REPO,
    env: { ...COMPILE_CACHE, PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithTests(child);
  onTestFinished(() => void child.kill('SIGKILL'));
  const errors: string[] = [];
  child.stderr.on('data', (chunk) => errors.push(String(chunk)));
  const lines = collectLines(child.stdout);
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const stop = async (signal: NodeJS.Signals = 'SIGINT') => {
    child.kill(signal);
    return await exited;
  };
  const texts = () => [...lines.text, ...lines.json.map((each) => JSON.stringify(each))];
  const line = (pattern: RegExp) =>
    waitFor(() => texts().find((text) => pattern.test(text)), { what: `${pattern}: ${errors}` });
  return { lines, line, stop, exited, errors };
}

const example = (name: string, env?: Readonly<Record<string, string>>) =>
  run([join('examples', `${name}.ts`), 'regtest', bus.address], env);

async function joined(): Promise<void> {
  for (const topic of Object.values(topics))
    await waitFor(async () => ((await bus.mesh()).mesh[topic] ?? []).length > 0, { what: `a mesh of ${topic}` });
}

const block = (chain: readonly Uint8Array[], height: number) => ({
  ...busBlock(Buffer.from(chain[height] as Uint8Array), height, bus.peerId, 'miner'),
  DataHubURL: dataHub.url,
});

test('watch-blocks prints each announced block with its author', async () => {
  const program = example('watch-blocks');
  await joined();
  await bus.publish(topics.block, block(main, 5));
  await program.line(new RegExp(`^block 5 ${hashHeader(main[5] as Uint8Array)} from ${bus.peerId}$`));
  expect(await program.stop()).toBe(0);
  expect(program.errors).toEqual([]);
});

test('follow-headers prints tips and a reorganization, with headers from the DataHub of the announcer', async () => {
  const program = example('follow-headers');
  await joined();
  await bus.publish(topics.block, block(main, 20));
  await program.line(new RegExp(`^tip 20 ${hashHeader(main[20] as Uint8Array)}$`));
  await bus.publish(topics.block, block(branch, 25));
  await program.line(new RegExp(`^reorg: 5 blocks after 15 ${hashHeader(main[15] as Uint8Array)} are undone$`));
  await program.line(new RegExp(`^tip 25 ${hashHeader(branch[25] as Uint8Array)}$`));
  expect(await program.stop()).toBe(0);
  expect(program.errors).toEqual([]);
});

test('list-endpoints prints a DataHub as it is announced, and then with the result of its check', async () => {
  const program = example('list-endpoints');
  await joined();
  const { messages } = dataJson<{ messages: { payload_text: string }[] }>('today/node_status.json');
  const status = JSON.parse(messages[0]?.payload_text ?? '');
  const own = {
    peer_id: bus.peerId,
    client_name: 'miner',
    base_url: dataHub.url,
    propagation_url: '',
    storage: 'full',
  };
  await bus.publish(topics.nodeStatus, { ...status, ...own, min_mining_tx_fee: 0.00000001 });
  await program.line(/\(miner, storage full, 1e-8 BSV per kilobyte\): answers, same chain: true$/);
  expect(await program.stop()).toBe(0);
  expect(program.errors).toEqual([]);
});

test('monitor-feeds counts what came and tells of a feed that fell silent', async () => {
  const program = example('monitor-feeds', { INTERVAL_MS: '200', SILENT_MS: '400' });
  await joined();
  await bus.publish(topics.subtree, busSubtree(bus.peerId));
  await program.line(/"received":\{"subtree":1\}/);
  await program.line(/^no subtree since /);
  expect(await program.stop()).toBe(0);
  expect(program.errors).toEqual([]);
});

test('rejected-transactions prints each with its reason, and counts them at the end', async () => {
  const program = example('rejected-transactions');
  await joined();
  await bus.publish(topics.rejectedTx, { TxID: TX_ID, Reason: 'too low a fee', PeerID: bus.peerId });
  await program.line(new RegExp(`^rejected ${TX_ID}: too low a fee$`));
  expect(await program.stop('SIGTERM')).toBe(0);
  await program.line(new RegExp(`^${bus.peerId} refused 1$`));
  expect(program.errors).toEqual([]);
});

test('the command listen prints the wanted types alone, and ends with exit code 0 at SIGINT', async () => {
  const program = run([
    'src/cli/main.ts',
    'listen',
    'regtest',
    '--types',
    'subtree,rejected_tx',
    '--bootstrap',
    bus.address,
  ]);
  await joined();
  const subtree = busSubtree(bus.peerId, 'miner');
  await bus.publish(topics.block, block(main, 6));
  await bus.publish(topics.subtree, subtree);
  await program.line(new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d+ subtree {5}${subtree.Hash} by miner ${bus.peerId}$`));
  expect(await program.stop()).toBe(0);
  expect(program.lines.text).toHaveLength(1);
  expect(program.errors.join('')).toMatch(/(?:^|\n)\d+ messages received, \d+ dropped\n$/);
});

test('the command listen says so when no peer can be reached, and goes on', async () => {
  const nobody = `/ip4/127.0.0.1/tcp/1/p2p/${bus.peerId}`;
  const program = run(['src/cli/main.ts', 'listen', 'regtest', '--bootstrap', nobody]);
  const told = () => program.errors.join('').startsWith('no peer is connected after 10 s');
  await waitFor(told, { timeoutMs: 60_000, what: 'the notice' });
  expect(await program.stop()).toBe(0);
  expect(program.errors.join('')).toMatch(/\n0 messages received, 0 dropped\n$/);
});

test('the command listen prints one JSON object per line, of one author and of nodes with one name', async () => {
  const args = ['--json', '--author', bus.peerId, '--client', 'miner', '--bootstrap', bus.address];
  const program = run(['src/cli/main.ts', 'listen', 'regtest', ...args]);
  await joined();
  await bus.publish(topics.subtree, busSubtree(bus.peerId, 'other'));
  const announced = block(main, 7);
  await bus.publish(topics.block, announced);
  const [event] = await waitFor(() => program.lines.json.length > 0 && program.lines.json, { what: 'a line' });
  expect(event).toMatchObject({ type: 'block', hash: announced.Hash, header: announced.Header, author: bus.peerId });
  expect(await program.stop('SIGTERM')).toBe(0);
  expect(program.lines.json).toHaveLength(1);
});

test('the command listen follows the chain for tip and reorg, in one feed with the blocks', async () => {
  const args = ['--types', 'block,tip,reorg', '--bootstrap', bus.address];
  const program = run(['src/cli/main.ts', 'listen', 'regtest', ...args]);
  await joined();
  const [first, second] = [hashHeader(main[20] as Uint8Array), hashHeader(branch[25] as Uint8Array)];
  await bus.publish(topics.block, block(main, 20));
  await program.line(new RegExp(` tip +20 ${first}$`));
  await bus.publish(topics.block, block(branch, 25));
  await program.line(new RegExp(` tip +25 ${second}$`));
  expect(await program.stop()).toBe(0);
  const types = program.lines.text.map((line) => line.split(' ')[1]);
  expect(types.filter((type, i) => type !== types[i - 1])).toEqual(['block', 'tip', 'block', 'reorg', 'tip']);
  expect(program.lines.text.find((line) => line.includes(' reorg '))).toMatch(
    new RegExp(` reorg +from 20 ${first} to \\d+ [0-9a-f]{64}, after 15$`),
  );
});

test('the command listen refuses unknown types and a shared key that is none, with exit code 2', async () => {
  const wrong = run(['src/cli/main.ts', 'listen', '--types', 'blocks']);
  expect(await wrong.exited).toBe(2);
  expect(wrong.errors.join('')).toMatch(/^INPUT_INVALID: invalid --types blocks \(expected some of block, /);
  const key = run(['src/cli/main.ts', 'listen', '--wire', 'go-p2p', '--bootstrap', bus.address], {
    p2p_shared_key: 'secret',
  });
  expect(await key.exited).toBe(2);
  expect(key.errors.join('')).toContain('sharedKey = ********');
});
