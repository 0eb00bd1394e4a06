import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { DevnetProcess, type DevnetState } from '../support/devnet.ts';
import { waitFor } from '../support/wait.ts';

const TIMES = { timeoutMs: 60_000 };

/** The tip that all of these nodes have. */
function commonTip({ nodes }: DevnetState, numbers = nodes.map(({ node }) => node)) {
  const tips = nodes.filter(({ node }) => numbers.includes(node)).map(({ tip }) => tip);
  const [first] = tips;
  return first != null && tips.every((tip) => tip?.hash === first.hash) ? first : undefined;
}

/** Waits until all of these nodes have one tip of at least this height. */
async function agreed(devnet: DevnetProcess, height: number, numbers?: readonly number[]) {
  return await waitFor(
    async () => {
      const tip = commonTip(await devnet.state(), numbers as number[] | undefined);
      return tip !== undefined && tip.height >= height && tip;
    },
    { ...TIMES, what: `one tip of ${numbers?.join(', ') ?? 'all'} from ${height} on` },
  );
}

/** Where a node listens, and where nodes 3 and 4 reach it. */
function addressesOf(root: string, number: number): readonly string[] {
  const confOf = (node: number) => readFileSync(join(root, `node-${node}`, 'settings.conf'), 'utf8');
  const port = /^p2p_port = (\d+)$/m.exec(confOf(number))?.[1];
  const relayed = [3, 4].flatMap(
    (node) => confOf(node).match(new RegExp(`/ip4/127\\.1\\.${node}\\.${number}/\\S+`)) ?? [],
  );
  return [`/ip4/127.0.0.1/tcp/${port}`, ...relayed];
}

/** Asks a node to dial: status and message. */
async function connect(devnet: DevnetProcess, number: number, address: string) {
  const { http = '', data = '' } = (await devnet.state()).nodes[number - 1] ?? {};
  const answer = await fetch(`${http}/api/v1/peers/connect`, {
    method: 'POST',
    headers: { 'x-api-key': readFileSync(join(data, 'admin.key'), 'utf8').trim(), 'content-type': 'application/json' },
    body: JSON.stringify({ address }),
  });
  return [answer.status, ((await answer.json()) as { message?: string }).message];
}

async function peersOf(devnet: DevnetProcess, number: number): Promise<readonly string[]> {
  const { nodes } = await devnet.state();
  return nodes[number - 1]?.peers ?? [];
}

test('npm run devnet starts five nodes that follow the miner, and Ctrl-C leaves neither a process nor a folder', async () => {
  const devnet = new DevnetProcess(['--nodes', '5', '--mine-every', '1'], { viaNpm: true });
  await devnet.event('ready', { nodes: 5 });
  const { nodes, isDataRemoved } = (await devnet.event('starting')) as {
    nodes: { node: number; http: string }[];
    isDataRemoved: boolean;
  };
  expect(isDataRemoved).toBe(true);
  expect(nodes.map(({ node }) => node)).toEqual([1, 2, 3, 4, 5]);
  expect(devnet.nodeProcesses()).toHaveLength(5);
  for (const { http } of nodes) expect((await fetch(`${http}/health/live`)).status).toBe(200);

  await waitFor(() => devnet.events('block').filter(({ heardBy }) => heardBy === 4).length >= 3, {
    ...TIMES,
    what: 'three blocks that all hear of',
  });
  const { height } = await agreed(devnet, 3);
  await agreed(devnet, height + 1);
  expect(devnet.events('block').every(({ node, of }) => node === 1 && of === 4)).toBe(true);
  const { links, wire } = await devnet.state();
  expect(wire).toBe('message-bus');
  expect(links).toHaveLength(10);

  process.kill(-(devnet.child.pid ?? 0), 'SIGINT');
  await devnet.event('stopped');
  await devnet.leavesNothing();
  expect(devnet.events('died')).toEqual([]);
}, 180_000);

describe('a network of five in which nobody mines but on order', () => {
  let devnet: DevnetProcess;

  beforeAll(async () => {
    devnet = new DevnetProcess(['--nodes', '5', '--mine-every', '0']);
    await devnet.event('ready');
  }, 120_000);

  afterAll(() => devnet.child.kill('SIGKILL'));

  test('a cut parts it, both parts go on alone, and once joined all agree on the greater work', async () => {
    await devnet.post('/mine');
    const common = await agreed(devnet, 1);
    expect(await devnet.post('/links/1,2/3,4,5', { state: 'cut' })).toMatchObject({ status: 200 });
    await waitFor(async () => (await peersOf(devnet, 1)).join() === 'node 2', { ...TIMES, what: 'the cut at node 1' });
    await waitFor(async () => (await peersOf(devnet, 3)).length === 2, { ...TIMES, what: 'the cut at node 3' });
    expect((await devnet.state()).links.filter(({ state }) => state === 'cut')).toHaveLength(6);

    for (let i = 1; i <= 5; i += 1) {
      await devnet.post('/mine', { node: 1 });
      await devnet.post('/mine', { node: 4 });
      await agreed(devnet, common.height + i, [1, 2]);
      await agreed(devnet, common.height + i, [3, 4, 5]);
    }
    const one = await agreed(devnet, common.height + 5, [1, 2]);
    const other = await agreed(devnet, common.height + 5, [3, 4, 5]);
    expect(one.height).toBe(other.height);
    expect(one.hash).not.toBe(other.hash);
    // Whatever nodes learn of each other's addresses, it does not lead them around the cut.
    for (const address of addressesOf(devnet.root, 5))
      expect(await connect(devnet, 2, address)).toEqual([502, expect.stringContaining('refuses')]);
    expect(await peersOf(devnet, 2)).toEqual(['node 1']);

    expect(await devnet.post('/links/1,2/3,4,5', { state: 'restored' })).toMatchObject({ status: 200 });
    await waitFor(async () => (await peersOf(devnet, 1)).length === 4, { ...TIMES, what: 'all links' });
    await devnet.post('/mine', { node: 4 });
    const joined = await agreed(devnet, other.height + 1);
    for (const node of [1, 2])
      expect(await devnet.event('reorg', { node })).toMatchObject({ from: one, to: joined, fork: common });
    expect(devnet.events('reorg').every(({ node }) => node === 1 || node === 2)).toBe(true);
  }, 180_000);

  test('a slow node hears of a block later by its delay, and no later once that is taken back', async () => {
    const slowMs = 1000;
    expect(await devnet.post('/nodes/3', { slowMs })).toEqual({ status: 200, body: { node: 3, slowMs } });
    expect((await devnet.state()).nodes.map((each) => each.slowMs)).toEqual([0, 0, slowMs, 0, 0]);
    const { height } = await agreed(devnet, 1);
    await devnet.post('/mine', { node: 1 });
    const slow = await devnet.event('block', { height: height + 1, heardBy: 4 });
    expect(slow.withinMs).toBeGreaterThanOrEqual(slowMs - 50);
    await devnet.post('/nodes/3', { slowMs: 0 });
    expect((await devnet.state()).nodes[2]?.slowMs).toBe(0);
  }, 120_000);

  test('a liar is banned by every node, which the output says', async () => {
    expect(await devnet.post('/liars')).toMatchObject({ status: 200, body: { liar: 1 } });
    for (const node of [1, 2, 3, 4, 5])
      expect(await devnet.event('ban', { node, subject: 'liar 1' })).toMatchObject({
        reason: expect.stringContaining('proof_of_work'),
      });
    await devnet.event('liar', { liar: 1, state: 'stopped' });
    expect((await devnet.state()).liars).toMatchObject([{ liar: 1, isRunning: false }]);
    expect(devnet.events('ban').every(({ subject }) => subject === 'liar 1')).toBe(true);
    // The nodes still follow each other.
    const { height } = await agreed(devnet, 1);
    await devnet.post('/mine', { node: 2 });
    await devnet.event('block', { height: height + 1, heardBy: 4 });
  }, 120_000);

  test('a node bans another one by its number, and the next by the address at which it alone is seen', async () => {
    await devnet.post('/bans', { node: 2, subject: 3 });
    await devnet.event('ban', { node: 2, subject: 'node 3' });
    await waitFor(async () => !(await peersOf(devnet, 2)).includes('node 3'), { ...TIMES, what: 'the ban of node 3' });
    await devnet.post('/bans', { node: 2, subject: '127.1.2.4' });
    await waitFor(async () => (await peersOf(devnet, 2)).toSorted().join() === 'node 1,node 5', {
      ...TIMES,
      what: 'the ban of node 4',
    });
    expect(await devnet.post('/bans', { node: 2, subject: 'nobody' })).toMatchObject({ status: 409 });
    expect((await devnet.state()).nodes[1]).toMatchObject({ bans: expect.arrayContaining(['node 3', 'node 4']) });
    for (const subject of [3, 4]) await devnet.post('/bans', { node: 2, subject, state: 'lifted' });
    await waitFor(async () => (await peersOf(devnet, 2)).length === 4, { ...TIMES, what: 'the lifted bans' });
  }, 60_000);

  test('what cannot be done is refused, and says why', async () => {
    expect(await devnet.post('/mine', { node: 6 })).toEqual({
      status: 400,
      body: { message: 'there is no node 6 (expected 1 to 5)' },
    });
    expect(await devnet.post('/links/1,2/2', { state: 'cut' })).toMatchObject({ status: 400 });
  });

  test('a node that dies is told and not started again, and the others go on', async () => {
    const { height } = await agreed(devnet, 1);
    const [pid = 0] = devnet.nodeProcesses(join(devnet.root, 'node-5'));
    process.kill(pid, 'SIGKILL');
    expect(await devnet.event('died')).toMatchObject({ node: 5, how: 'SIGKILL' });
    await devnet.post('/mine', { node: 1 });
    await devnet.event('block', { height: height + 1, of: 3, heardBy: 3 });
    expect((await devnet.state()).nodes[4]).toMatchObject({ isRunning: false, tip: null });
    expect(await devnet.post('/mine', { node: 5 })).toMatchObject({ status: 409 });
  }, 60_000);

  test('a node that somebody else stopped is told with the reason, and can be started again', async () => {
    const folder = join(devnet.root, 'node-4');
    const [pid = 0] = devnet.nodeProcesses(folder);
    process.kill(pid, 'SIGTERM');
    expect(await devnet.event('died', { node: 4 })).toMatchObject({ how: 'exit code 0: stopped: SIGTERM' });
    expect(await devnet.post('/nodes/4', { state: 'running' })).toMatchObject({ status: 200 });
    await devnet.event('node', { node: 4, state: 'ready' });
    await waitFor(async () => (await peersOf(devnet, 4)).includes('node 1'), { ...TIMES, what: 'its links' });
    expect(devnet.nodeProcesses(folder)).toHaveLength(1);
  }, 120_000);

  test('a node is stopped and started on order, keeps its chain, and then follows the others', async () => {
    const { tip } = (await devnet.state()).nodes[0] ?? {};
    expect(await devnet.post('/nodes/1', { state: 'stopped' })).toMatchObject({ status: 200 });
    expect((await devnet.state()).nodes[0]).toMatchObject({ isRunning: false, tip: null, peers: null, bans: null });
    expect(devnet.events('died').some(({ node }) => node === 1)).toBe(false);
    await devnet.post('/nodes/1', { state: 'running' });
    await devnet.event('node', { node: 1, state: 'ready' });
    await waitFor(async () => (await devnet.state()).nodes[0]?.tip?.hash === tip?.hash, { ...TIMES, what: 'its tip' });
    await waitFor(async () => (await peersOf(devnet, 1)).includes('node 2'), { ...TIMES, what: 'its links' });
    await devnet.post('/mine', { node: 2 });
    await agreed(devnet, (tip?.height ?? 0) + 1, [1, 2]);
  }, 120_000);

  test('SIGTERM ends it with exit code 0, and leaves neither a process nor a folder', async () => {
    devnet.child.kill('SIGTERM');
    expect(await devnet.exitCode()).toBe(0);
    await devnet.leavesNothing();
  }, 60_000);
});

test('on the wire go-p2p nodes follow too, and a killed parent leaves neither a process nor a folder', async () => {
  const devnet = new DevnetProcess(['--nodes', '3', '--mine-every', '1', '--wire', 'go-p2p']);
  await devnet.event('block', { heardBy: 2 });
  expect(devnet.nodeProcesses()).toHaveLength(3);
  expect(existsSync(devnet.root)).toBe(true);
  devnet.child.kill('SIGKILL');
  await devnet.leavesNothing();
}, 180_000);

test('a folder that is given is kept, and its nodes go on with their keys and chain', async () => {
  const folder = temporaryFolder('devnet');
  const first = new DevnetProcess(['--nodes', '1', '--mine-every', '0', '--data', folder]);
  await first.event('ready');
  await first.post('/mine', { blocks: 3 });
  const tip = await agreed(first, 3);
  const [{ peerId = '' } = {}] = (await first.event('starting')).nodes as { peerId: string }[];
  first.child.kill('SIGTERM');
  expect(await first.exitCode()).toBe(0);
  expect(existsSync(join(folder, 'node-1/node.log'))).toBe(true);

  const second = new DevnetProcess(['--nodes', '1', '--mine-every', '0', '--data', folder]);
  await second.event('ready');
  expect(await agreed(second, 3)).toEqual(tip);
  expect(second.events('starting')[0]?.nodes).toMatchObject([{ peerId }]);
  second.child.kill('SIGTERM');
  expect(await second.exitCode()).toBe(0);
}, 180_000);
