// `/p2p-ws` of a running node, from outside: a client written from the specification, frames recorded from a Go server,
// many clients, bad clients.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoPeer } from '../support/go-peer.ts';
import { GoWsClients, subtreeFingerprint } from '../support/go-ws.ts';
import {
  allTopics,
  blockFields,
  DATA_HUB,
  mainnetHeaders,
  PSK,
  privateNetwork,
  subtreeFields,
  topicsOf,
} from '../support/network.ts';
import { dataJson } from '../support/recorded.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';
import { answerOn, ask, cutAll, dialSocket, RawWebSocket, upgradeText } from '../support/websocket.ts';

const MIB = 1024 * 1024;
const topics = topicsOf('mainnet');
const recorded = dataJson<{ frames: Record<string, { data: string }[]> }>('messages/teranode-websocket.json').frames;
/** What the listening server sent to its client. */
const heard = (recorded.hearer ?? []).map(({ data }) => data);

function recordedFrame(type: string, nth = 0): string {
  const frame = heard.filter((text) => (JSON.parse(text) as { type: string }).type === type)[nth];
  if (frame === undefined) throw new Error(`no ${type} was recorded`);
  return frame;
}

function namesOf(text: string): string[] {
  return Object.keys(JSON.parse(text) as object);
}

/** With the time and the author left out, which are of the moment. */
function timeless(text: string): string {
  return text
    .replace(/"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"/, '"timestamp":""')
    .replace(/"peer_id":"[^"]*"/, '"peer_id":""');
}

interface Scene {
  readonly server: ServerProcess;
  readonly peer: GoPeer;
  readonly url: string;
}

/** A server with a Go peer beside it in one private network, both in each other's mesh. */
async function startScene(settings: Record<string, string> = {}): Promise<Scene> {
  const server = await ServerProcess.start({
    settings: { ...privateNetwork('mainnet'), p2p_author_rate: '0', logLevel: 'INFO', ...settings },
  });
  const options = {
    psk: PSK,
    topics: allTopics('mainnet'),
    allow: [server.peerId],
    discard: true,
    outboundQueue: 10_000,
  };
  const peer = await GoPeer.start(options);
  await peer.connect(server.address);
  for (const topic of [topics.block, topics.subtree, topics.miningOn, topics.nodeStatus]) {
    await waitFor(async () => (await peer.mesh()).mesh[topic]?.includes(server.peerId), {
      what: `the mesh of ${topic}`,
    });
  }
  return { server, peer, url: `ws://${server.ready.httpAddress}/p2p-ws` };
}

async function stopScene(scene: Scene | undefined): Promise<void> {
  cutAll();
  await Promise.all([scene?.peer.stop(), scene?.server.stop()]);
}

describe('WebSocket frames compared with those recorded from a Go server', () => {
  let scene: Scene;
  let client: RawWebSocket;
  const author = () => scene.peer.peerId;

  /** The text of the next frame of this type by the Go peer. */
  async function frameOf(type: string): Promise<string> {
    return await waitFor(
      () => client.texts().find((text) => text.includes(`"type":"${type}"`) && text.includes(author())),
      { what: `a ${type} of the Go peer` },
    );
  }

  beforeAll(async () => {
    scene = await startScene();
    client = await RawWebSocket.open(scene.server.ready.httpAddress);
  });

  afterAll(async () => await stopScene(scene));

  test('the first is our own node status, with its fields in order', async () => {
    await client.received(1);
    const first = client.texts()[0] ?? '';
    const status = JSON.parse(first) as Record<string, unknown>;
    expect(status).toMatchObject({ type: 'node_status', peer_id: scene.server.peerId, fsm_state: 'RUNNING' });
    expect(status).toMatchObject({ best_height: 0, listen_mode: 'full', block_assembly_details: {} });
    const names = namesOf(recordedFrame('node_status'));
    expect(namesOf(first)).toEqual(names.filter((name) => namesOf(first).includes(name)));
    // What may be empty at a node whose chain is only its genesis.
    const missing = names.filter((name) => !namesOf(first).includes(name));
    expect(['commit_hash', 'miner_name'].filter((name) => missing.includes(name))).toEqual(missing);
    for (const [name, value] of Object.entries(JSON.parse(recordedFrame('node_status')) as object)) {
      if (!missing.includes(name)) expect(typeof status[name]).toBe(typeof value);
    }
  });

  test('a block, byte by byte', async () => {
    const header = mainnetHeaders()[2];
    if (header === undefined) throw new Error('no header 2');
    await scene.peer.publish(topics.block, JSON.stringify(blockFields(header, 2, author())));
    expect(timeless(await frameOf('block'))).toBe(timeless(recordedFrame('block')));
  });

  test('a subtree, byte by byte', async () => {
    const { hash: Hash } = JSON.parse(recordedFrame('subtree')) as { hash: string };
    await scene.peer.publish(topics.subtree, JSON.stringify({ Hash, DataHubURL: DATA_HUB, PeerID: author() }));
    expect(timeless(await frameOf('subtree'))).toBe(timeless(recordedFrame('subtree')));
  });

  test('a mining-on with its escapes, byte by byte', async () => {
    const said = JSON.parse(recordedFrame('mining_on')) as Record<string, unknown>;
    const message = {
      Hash: said.hash,
      PreviousHash: said.previousblockhash,
      DataHubURL: said.base_url,
      PeerID: author(),
      Height: said.height,
      Miner: said.miner,
      SizeInBytes: said.size_in_bytes,
      TxCount: said.tx_count,
    };
    await scene.peer.publish(topics.miningOn, JSON.stringify(message));
    expect(timeless(await frameOf('mining_on'))).toBe(timeless(recordedFrame('mining_on')));
  });

  test('a node status with details of block assembly, byte by byte', async () => {
    const text = recordedFrame('node_status', 1);
    const message = text.replace(/"timestamp":"[^"]*",/, '').replace(/"peer_id":"[^"]*"/, `"peer_id":"${author()}"`);
    await scene.peer.publish(topics.nodeStatus, message);
    expect(timeless(await frameOf('node_status'))).toBe(timeless(text));
  });

  test('PING each ten seconds, byte by byte except for time, URL and peer ID', async () => {
    const pings = await waitFor(
      () => {
        const texts = client.texts().filter((text) => text.includes('"type":"PING"'));
        return texts.length >= 3 && texts;
      },
      { timeoutMs: 40_000, what: 'three PINGs' },
    );
    const times = pings.map((text) => Date.parse((JSON.parse(text) as { timestamp: string }).timestamp));
    for (const [i, time] of times.entries()) {
      // Whole seconds.
      if (i > 0) expect(Math.abs(time - (times[i - 1] ?? 0) - 10_000)).toBeLessThanOrEqual(1000);
    }
    const own = JSON.parse(client.texts()[0] ?? '{}') as { base_url: string };
    const expected = recordedFrame('PING').replace(/"base_url":"[^"]*"/, `"base_url":"${own.base_url}"`);
    for (const text of pings) {
      expect(timeless(text)).toBe(timeless(expected));
      expect(text).toContain(`"peer_id":"${scene.server.peerId}"`);
    }
  });

  test('sends only the subscribed types, and refuses unknown types before the upgrade', async () => {
    const address = scene.server.ready.httpAddress;
    const filtered = await RawWebSocket.open(address, { path: '/p2p-ws?types=subtree' });
    const mark = subtreeFields(author());
    await scene.peer.publish(topics.miningOn, JSON.stringify({ ...miningOn(author()) }));
    await waitFor(() => client.messages('mining_on').length >= 2, { what: 'the mining-on at the other client' });
    await scene.peer.publish(topics.subtree, JSON.stringify(mark));
    await waitFor(() => filtered.messages('subtree').some(({ hash }) => hash === mark.Hash), { what: 'the subtree' });
    const seen = filtered.messages().map(({ type }) => type);
    expect([...new Set(seen)].filter((type) => type !== 'PING').sort()).toEqual(['node_status', 'subtree']);
    expect((await ask(address, upgradeText(address, { path: '/p2p-ws?types=blocks' }))).status).toBe(400);
  });
});

function miningOn(author: string) {
  const hash = () => randomBytes(32).toString('hex');
  const numbers = { Height: 3, SizeInBytes: 1, TxCount: 1 };
  return { Hash: hash(), PreviousHash: hash(), DataHubURL: DATA_HUB, PeerID: author, Miner: 'm', ...numbers };
}

test('announcements of this node itself are sent too, once each', async () => {
  const server = await ServerProcess.start({
    settings: { ...privateNetwork('regtest'), embedded_chain_mine_interval: '300ms' },
  });
  try {
    const client = await RawWebSocket.open(server.ready.httpAddress);
    const blocks = await client.received(5, 'block');
    expect(blocks.every((block) => block.peer_id === server.peerId)).toBe(true);
    expect(new Set(blocks.map(({ hash }) => hash)).size).toBe(blocks.length);
    const heights = blocks.map(({ height }) => Number(height));
    expect(heights).toEqual(heights.map((_height, i) => (heights[0] ?? 0) + i));
    const subtrees = await client.received(3, 'subtree');
    expect(new Set(subtrees.map(({ hash }) => hash)).size).toBe(subtrees.length);
    expect((await client.received(3, 'mining_on')).every((each) => each.peer_id === server.peerId)).toBe(true);
  } finally {
    cutAll();
    await server.stop();
  }
});

interface Crowd {
  readonly readers: number;
  readonly silent: number;
  readonly rate: number;
  readonly count: number;
  readonly settings?: Record<string, string>;
}

describe.each<Crowd>([
  { readers: 950, silent: 50, rate: 1000, count: 20_000 },
  {
    readers: 9500,
    silent: 500,
    rate: 100,
    count: 1500,
    settings: { p2p_ws_max_clients: '10000', p2p_ws_max_clients_per_address: '10000' },
  },
])('$readers WebSocket clients that read and $silent that never do', ({ readers, silent, rate, count, settings }) => {
  let scene: Scene;
  let go: GoWsClients;

  beforeAll(async () => {
    scene = await startScene(settings);
    go = new GoWsClients();
  });

  afterAll(async () => {
    await go?.stop();
    await stopScene(scene);
  });

  test(`at ${rate} announcements per second: the readers get every frame, the others are closed, memory stays flat`, async () => {
    const { server, peer, url } = scene;
    expect(await go.open({ group: 'silent', url, clients: silent, reads: false })).toEqual({
      opened: silent,
      refused: {},
    });
    expect(await go.open({ group: 'readers', url, clients: readers })).toEqual({ opened: readers, refused: {} });
    await waitFor(async () => (await server.metric('teranode_p2p_ws_clients ')) >= readers + silent, {
      what: 'all clients',
    });
    const memoryBefore = server.memoryBytes();
    const writesBefore = await server.metric('teranode_p2p_ws_writes_total');
    const subtrees = Array.from({ length: count }, () => subtreeFields(peer.peerId));
    const file = join(temporaryFolder('subtrees'), 'subtrees');
    writeFileSync(file, subtrees.map((each) => JSON.stringify(each)).join('\n'));
    await peer.publishMany({ topic: topics.subtree, file, ratePerSecond: rate });
    await waitFor(async () => (await peer.publishStatus()).published === count, {
      timeoutMs: 90_000,
      what: 'publishing',
    });
    const all = await waitFor(
      async () => {
        const report = await go.report('readers');
        return report.types.subtree?.min === count && report;
      },
      { timeoutMs: 30_000, what: 'every frame at every client' },
    ).catch(async (cause: unknown) => {
      throw new Error(`not all came: ${JSON.stringify(await go.report('readers'))}`, { cause });
    });
    expect(all.types.subtree).toEqual({ min: count, max: count });
    expect(all.fingerprints).toEqual({ [subtreeFingerprint(subtrees.map(({ Hash }) => Hash))]: readers });
    expect(all.types.PING?.min).toBeGreaterThan(0);
    expect(all.open).toBe(readers);
    // Frames were joined.
    const writes = (await server.metric('teranode_p2p_ws_writes_total')) - writesBefore;
    expect(writes).toBeLessThan(((readers + silent) * count) / 4);
    await waitFor(async () => (await server.metric('teranode_p2p_ws_closed_total', 'too_slow')) === silent, {
      timeoutMs: 90_000,
      what: 'the end of those who do not read',
    });
    expect((await go.report('readers')).open).toBe(readers);
    expect(server.memoryBytes() - memoryBefore).toBeLessThan(200 * MIB);
    expect(await server.metric('teranode_p2p_ws_buffer_frames ')).toBeLessThan(readers * 4000);
    expect((await server.get('/health/ready')).status).toBe(200);
  });
});

describe('hostile WebSocket clients', () => {
  const MANY = 1000;
  const COUNT = 4000;
  let scene: Scene;
  let go: GoWsClients;

  beforeAll(async () => {
    scene = await startScene();
    go = new GoWsClients();
  });

  afterAll(async () => {
    await go?.stop();
    await stopScene(scene);
  });

  /** While they are bad, twenty others get 200 subtrees a second: all of them. */
  test('with plain GETs, half upgrades, pipelined requests, 10 MB frames and resets do not affect others', async () => {
    const { server, peer, url } = scene;
    const address = server.ready.httpAddress;
    await go.open({ group: 'good', url, clients: 20 });
    await peer.publishMany({ topic: topics.subtree, subtrees: COUNT, ratePerSecond: 200 });

    const statuses = new Set<number>();
    for (let i = 0; i < MANY / 100; i += 1) {
      const plain = await Promise.all(
        Array.from({ length: 100 }, () => ask(address, 'GET /p2p-ws HTTP/1.1\r\nHost: a\r\n\r\n')),
      );
      for (const { status } of plain) statuses.add(status);
    }
    expect(statuses).toEqual(new Set([426]));

    const half = await Promise.all(Array.from({ length: MANY }, () => dialSocket(address)));
    for (const socket of half) socket.write(upgradeText(address).slice(0, -30));
    expect((await server.get('/health')).body).toBe('OK');
    const given = await Promise.all(half.map(answerOn));
    expect(new Set(given.map(({ status }) => status))).toEqual(new Set([408]));

    const behind = await Promise.all(Array.from({ length: MANY }, () => dialSocket(address)));
    for (const socket of behind) {
      socket.resume();
      socket.write(`GET /health HTTP/1.1\r\nHost: a\r\n\r\n${upgradeText(address)}`);
    }
    await waitFor(() => behind.every(({ bytesRead }) => bytesRead > 0), { timeoutMs: 30_000, what: 'answers' });
    expect((await server.get('/health')).body).toBe('OK');
    for (const socket of behind.slice(MANY / 2)) socket.destroy();

    expect((await go.open({ group: 'large', url, clients: 20 })).opened).toBe(20);
    await go.sendBytes('large', 10 * MIB);
    await waitFor(async () => (await go.report('large')).open === 0, { what: 'the end of who sends 10 MB' });
    const reset = await Promise.all(Array.from({ length: 100 }, () => RawWebSocket.open(address)));
    for (const { socket } of reset) socket.resetAndDestroy();

    const report = await waitFor(
      async () => {
        const seen = await go.report('good');
        return seen.types.subtree?.min === COUNT && seen;
      },
      { timeoutMs: 60_000, what: 'every frame at the others' },
    );
    expect(report.types.subtree).toEqual({ min: COUNT, max: COUNT });
    expect(Object.keys(report.fingerprints)).toHaveLength(1);
    expect(report.open).toBe(20);
    await waitFor(async () => (await server.metric('teranode_p2p_ws_clients ')) === 20, {
      what: 'the good ones alone',
    });
    // Those that were held too: kept alive for their time, then closed. What asks for this is itself a connection.
    await waitFor(async () => (await server.metric('teranode_p2p_http_connections ')) <= 22, {
      timeoutMs: 30_000,
      what: 'no connection left of the bad ones',
    });
    expect((await server.get('/health/ready')).status).toBe(200);
    expect(server.output.json.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

test.each([
  ['beyond the bound of the setting', { p2p_ws_max_clients: '3', p2p_ws_max_clients_per_address: '3' }, 503],
  ['beyond half of it, of one address', { p2p_ws_max_clients: '6' }, 429],
])('refuses %s clients, and web pages from other origins', async (_what, bounds, status) => {
  const server = await ServerProcess.start({
    settings: { ...privateNetwork('regtest'), ...bounds, p2p_ws_origins: 'https://explorer.example' },
  });
  const go = new GoWsClients();
  try {
    const url = `ws://${server.ready.httpAddress}/p2p-ws`;
    expect(await go.open({ group: 'page', url, clients: 1, origin: 'https://elsewhere.example' })).toEqual({
      opened: 0,
      refused: { 403: 1 },
    });
    expect(await go.open({ group: 'page', url, clients: 1, origin: 'https://explorer.example' })).toMatchObject({
      opened: 1,
    });
    expect(await go.open({ group: 'some', url, clients: 5 })).toEqual({ opened: 2, refused: { [status]: 3 } });
  } finally {
    await go.stop();
    await server.stop();
  }
});
