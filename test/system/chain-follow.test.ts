// Nodes without a blockchain service follow each other: the README's second node, two that were parted, a client that
// hears of a reorganisation, and a DataHub that harms.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type HeaderEvent, headers } from '../../src/index.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { EventClient } from '../support/event-source.ts';
import { freePort } from '../support/kafka-broker.ts';
import { REPO } from '../support/repo.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

interface Tip {
  readonly hash: string;
  readonly height: number;
}

/** Of settings.conf. */
const SHARED_KEY = '7465726e6f64652d7032702d6465762d6b65792d6b6e6f776e2d746f2d616c6c';

const running: { stop(): unknown }[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

async function start(settings: Record<string, string>, dataFolder?: string): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings, ...(dataFolder === undefined ? {} : { dataFolder }) });
  running.push(server);
  return server;
}

async function tipOf(server: ServerProcess): Promise<Tip> {
  return JSON.parse((await server.get('/api/v1/bestblockheader/json')).body) as Tip;
}

async function haveOneTip(first: ServerProcess, second: ServerProcess, minHeight: number): Promise<Tip | false> {
  const [one, other] = await Promise.all([tipOf(first), tipOf(second)]);
  return one.hash === other.hash && one.height >= minHeight ? one : false;
}

/** The variables in front of `npm start` in the README's command for a second node. */
function secondNode(address: string): Record<string, string> {
  const readme = readFileSync(join(REPO, 'README.md'), 'utf8');
  const command = /^dataFolder=\.\/data2 .*(?= npm start$)/m.exec(readme)?.[0] ?? '';
  const pairs = command.split(' ').map((each) => each.split(/=(.*)/s, 2) as [string, string]);
  return { ...Object.fromEntries(pairs), p2p_static_peers: address };
}

/** All tips and reorganisations that a node tells from now on. */
async function chainFrames(server: ServerProcess): Promise<Record<string, unknown>[]> {
  const frames: Record<string, unknown>[] = [];
  const socket = new WebSocket(`ws://${server.ready.httpAddress}/p2p-ws?types=tip,reorg`);
  running.push({ stop: () => socket.close() });
  socket.addEventListener('message', ({ data }) => {
    const frame = JSON.parse(String(data)) as Record<string, unknown>;
    if (frame.type === 'tip' || frame.type === 'reorg') frames.push(frame);
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', reject);
  });
  return frames;
}

const eventsOf = (server: ServerProcess, event: string) => server.output.json.filter((line) => line.event === event);

describe('the nodes of the README', () => {
  test('have one chain within ten seconds, on which only the first mines, and no warning of their DataHubs', async () => {
    const ports = {
      P2P_PORT: String(await freePort()),
      P2P_HTTP_PORT: String(await freePort()),
      P2P_GRPC_PORT: String(await freePort()),
    };
    const shipped = { asShipped: true, readyTimeoutMs: 60_000 };
    const ownFolders = { dataFolder: temporaryFolder('data'), embedded_chain_lone_mine_interval: '2s' };
    const first = await ServerProcess.start({ ...shipped, settings: { ...ports, ...ownFolders } });
    running.push(first);
    const given = { ...secondNode(first.address), ...ports, dataFolder: temporaryFolder('data2') };
    const second = await ServerProcess.start({ ...shipped, settings: given });
    running.push(second);
    const joined = await waitFor(() => haveOneTip(first, second, 1), { timeoutMs: 10_000, what: 'one tip' });
    await waitFor(() => haveOneTip(first, second, joined.height + 3), { what: 'three more blocks on both' });
    expect(eventsOf(second, 'block mined')).toEqual([]);
    for (const { output } of [first, second]) expect(output.json.filter(({ level }) => level !== 'info')).toEqual([]);
  });
});

describe('two nodes that were parted', () => {
  test('agree on the greater work, say why, and tell one reorganisation with the right fork', async () => {
    const [folderA, folderB] = [temporaryFolder('a'), temporaryFolder('b')];
    const together = await start({ embedded_chain_mine_interval: '300ms' }, folderA);
    const joined = await start({ p2p_static_peers: together.address }, folderB);
    await waitFor(() => haveOneTip(together, joined, 3), { what: 'a common chain' });
    await together.stop();
    await joined.stop();

    // Both mine on what they had in common, for five blocks and for eight.
    const alone = async (folder: string, blocks: number) => {
      const server = await start({ embedded_chain_mine_interval: '500ms' }, folder);
      await waitFor(() => eventsOf(server, 'block mined').length >= blocks, { what: `${blocks} blocks` });
      await server.stop();
      return eventsOf(server, 'block mined').map(({ height, hash }) => ({ height, hash }) as Tip);
    };
    const [minedByA, minedByB] = [await alone(folderA, 5), await alone(folderB, 8)];
    expect(minedByB.length).toBeGreaterThan(minedByA.length);

    const greater = await start({}, folderB);
    const a = await start({}, folderA);
    const frames = await chainFrames(a);
    const before = await tipOf(a);
    expect(before).toMatchObject(minedByA.at(-1) as Tip);
    await joinTo(a, greater);
    await waitFor(() => haveOneTip(a, greater, 1), { what: 'one tip' });
    expect(await tipOf(a)).toMatchObject(minedByB.at(-1) as Tip);

    await waitFor(() => frames.some(({ type }) => type === 'reorg'), { what: 'the reorganisation' });
    await waitFor(() => frames.at(-1)?.hash === minedByB.at(-1)?.hash, { what: 'the tip' });
    const height = (minedByB[0]?.height ?? 0) - 1;
    const fork = JSON.parse((await a.get(`/api/v1/headers/${before.hash}/json?n=50`)).body).find(
      (header: Tip) => header.height === height,
    ) as Tip;
    expect(frames.filter(({ type }) => type === 'reorg')).toEqual([
      {
        timestamp: expect.any(String),
        type: 'reorg',
        from: minedByA.at(-1),
        to: minedByB.at(-1),
        fork: { hash: fork.hash, height },
      },
    ]);
    expect(eventsOf(a, 'sync peer chosen')).toMatchObject([
      { peerId: greater.peerId, height: minedByB.at(-1)?.height, ownHeight: before.height },
    ]);
    await waitFor(() => eventsOf(a, 'sync peer given up').at(-1), { what: 'the end of the sync' });
    expect(eventsOf(a, 'sync peer given up')).toMatchObject([{ reason: 'level', failedAttempts: 0 }]);
    expect(eventsOf(a, 'took headers of a peer')).toMatchObject([{ taken: minedByB.length, outcome: 'done' }]);
  });

  test('a reorganisation of three blocks is told once while the node runs', async () => {
    const folder = temporaryFolder('short');
    const short = await start({ embedded_chain_mine_interval: '700ms' }, folder);
    await waitFor(() => eventsOf(short, 'block mined').length >= 3, { what: 'three blocks' });
    await short.stop();
    const mined = eventsOf(short, 'block mined').map(({ height, hash }) => ({ height, hash }) as Tip);
    expect(mined).toHaveLength(3);

    const long = await start({ embedded_chain_mine_interval: '200ms' });
    await waitFor(async () => (await tipOf(long)).height >= 10, { what: 'ten blocks' });
    const node = await start({}, folder);
    const frames = await chainFrames(node);
    await joinTo(node, long);
    const joined = await waitFor(() => haveOneTip(node, long, 10), { what: 'one tip' });
    await waitFor(async () => frames.filter(({ type }) => type === 'tip').length >= 3, { what: 'more tips' });
    const genesis = JSON.parse((await node.get(`/api/v1/headers/${joined.hash}/json?n=2000`)).body).at(-1) as Tip;
    const reorgs = frames.filter(({ type }) => type === 'reorg');
    expect(reorgs).toMatchObject([{ from: mined[2], fork: { hash: genesis.hash, height: 0 } }]);
  });

  test('a reorganisation when two parts meet is one event, and the same, over WebSocket, Server-Sent Events and the library', async () => {
    const long = await start({ embedded_chain_mine_interval: '200ms' });
    const node = await start({ embedded_chain_mine_interval: '3s' });
    const mined = () => eventsOf(node, 'block mined').map(({ height, hash }) => ({ height, hash }) as Tip);
    const frames = await chainFrames(node);
    const stream = await EventClient.open(node.ready.httpAddress, '?types=tip,reorg');
    const options = {
      bootstrapPeers: [node.address],
      wire: 'go-p2p',
      sharedKey: SHARED_KEY,
      anchor: 'genesis',
    } as const;
    const library = headers('regtest', options);
    running.push({ stop: () => library.close() });
    const events: HeaderEvent[] = [];
    const reading = (async () => {
      for await (const event of library) events.push(event);
    })();
    await waitFor(() => events.filter(({ type }) => type === 'tip').length >= 3, {
      timeoutMs: 60_000,
      what: 'three blocks over the library',
    });

    await joinTo(node, long);
    const reorgsOf = (list: readonly { readonly type: string }[]) => list.filter(({ type }) => type === 'reorg');
    const [heard] = await waitFor(() => reorgsOf(events).length > 0 && reorgsOf(events), {
      what: 'the reorganisation',
    });
    // What it mined alone; later it mines on the chain that it took.
    const from = mined().findLast(({ height }, i) => height === i + 1);
    expect(heard).toMatchObject({ from, fork: { height: 0 } });
    await waitFor(() => events.filter(({ type }) => type === 'tip').length >= 8, { what: 'tips after it' });
    // The library tells it at the first header that outweighs the old tip, the node when it has fetched all.
    const told = { type: 'reorg', from, fork: (heard as unknown as { fork: Tip }).fork };
    expect(reorgsOf(events)).toMatchObject([told]);
    expect(reorgsOf(frames as { type: string }[])).toMatchObject([told]);
    expect(stream.events.filter(({ event }) => event === 'reorg').map(({ data }) => data)).toMatchObject([told]);
    await library.close();
    await reading;
  }, 120_000);
});

/** Connects two running nodes. */
async function joinTo(server: ServerProcess, other: ServerProcess): Promise<void> {
  const key = readFileSync(join(server.dataFolder, 'admin.key'), 'utf8').trim();
  const answer = await fetch(`http://${server.ready.httpAddress}/api/v1/peers/connect`, {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    body: JSON.stringify({ address: other.address }),
  });
  if (!answer.ok) throw new Error(`failed to connect: ${answer.status} ${await answer.text()}`);
}

describe('a node whose peer has a hostile DataHub', () => {
  test('stays ready and small, stores nothing of it, and follows when the DataHub tells the truth', async () => {
    let mode: 'garbage' | 'endless' | 'slow' | 'truth' = 'garbage';
    let truth = '';
    const asked: string[] = [];
    const timers: NodeJS.Timeout[] = [];
    const hub = createServer(async (request, response) => {
      asked.push(request.url ?? '');
      response.on('error', () => {});
      if (mode === 'garbage') response.end('garbage'.repeat(1000));
      else if (mode === 'slow') timers.push(setInterval(() => response.write('x'), 100));
      else if (mode === 'endless') {
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536)));
        };
        response.on('drain', more);
        more();
      } else {
        const answer = await fetch(`${truth}${request.url}`);
        response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()));
      }
    });
    await new Promise<void>((resolve) => hub.listen(0, '127.0.0.1', resolve));
    running.push({
      stop: () => {
        for (const timer of timers) clearInterval(timer);
        hub.closeAllConnections();
        hub.close();
      },
    });
    const url = `http://127.0.0.1:${(hub.address() as AddressInfo).port}/api/v1`;
    const peer = await start({ embedded_chain_mine_interval: '500ms', asset_httpAddress: url });
    truth = `http://${peer.ready.httpAddress}`;
    // Its catch-ups would be scored: this test is about what a fetch can do.
    const node = await start({ p2p_static_peers: peer.address, p2p_ban_threshold: '1000000' });
    const before = node.memoryBytes();
    const outcome = (name: string) => node.metric('teranode_p2p_chain_fetches_total', `outcome="${name}"`);

    await waitFor(async () => (await outcome('too_long')) + (await outcome('wrong')) >= 3, { what: 'garbage' });
    mode = 'endless';
    const long = await outcome('too_long');
    await waitFor(async () => (await outcome('too_long')) >= long + 3, { what: 'endless bodies' });
    mode = 'slow';
    await waitFor(async () => (await outcome('timeout')) >= 1, { timeoutMs: 40_000, what: 'a slow body' });
    expect((await node.get('/health/ready')).status).toBe(200);
    expect(await tipOf(node)).toMatchObject({ height: 0 });
    expect(node.memoryBytes() - before).toBeLessThan(80 * 1024 * 1024);

    mode = 'truth';
    await waitFor(() => haveOneTip(node, peer, 5), { timeoutMs: 40_000, what: 'one tip' });
    expect(asked.some((path) => path.includes('headers_from_common_ancestor'))).toBe(true);
  });
});
