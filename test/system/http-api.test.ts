// The HTTP API of a running node that has a Go peer: every operation that its own OpenAPI document names is called,
// with the admin key and without, and every answer is held against that document.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import {
  allTopics,
  blockFields,
  DATA_HUB,
  headerHash,
  mainnetHeaders,
  PSK,
  privateNetwork,
  subtreeFields,
  topicsOf,
} from '../support/network.ts';
import { type CallOptions, OpenApiClient } from '../support/openapi.ts';
import { KAFKA_CHECKS } from '../support/readiness.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';
import { ask, upgradeText } from '../support/websocket.ts';

const KEY = 'the key of the system tests, 4711';
const AGENT = 'go-peer-of-the-test';
const HASH = /^[0-9a-f]{64}$/;
const topics = topicsOf('mainnet');
const [, first = Buffer.alloc(0), second = Buffer.alloc(0)] = mainnetHeaders();
const forged = { ...blockFields(second, 2, ''), Hash: headerHash(first) };

let server: ServerProcess;
let peer: GoPeer;
let other: GoPeer;
let client: OpenApiClient;

type Fields = Readonly<Record<string, unknown>>;

/** Body of a call that is answered with 200. */
async function done(id: string, options: CallOptions = {}): Promise<Fields> {
  const { status, body } = await client.call(id, options);
  expect([id, status, status === 200 ? undefined : body]).toEqual([id, 200, undefined]);
  return body as Fields;
}

async function rows(id: string, options: CallOptions = {}): Promise<readonly Fields[]> {
  const [list] = Object.values(await done(id, options)).filter(Array.isArray);
  return list as readonly Fields[];
}

/** What the document says beside types is up to each operation. */
const EVERY: Readonly<Record<string, () => Promise<unknown>>> = {
  health: async () => expect((await client.call('health')).body).toBe('OK'),
  live: async () => {
    expect((await client.call('live')).body).toBe('OK');
    expect(await done('live', { headers: { accept: 'application/json' } })).toEqual({ status: 'ok', checks: [] });
  },
  ready: async () => {
    expect((await client.call('ready')).body).toContain('blockchain: ok');
    const { status, checks } = await done('ready', { headers: { accept: 'application/json' } });
    expect(status).toBe('ok');
    expect((checks as Fields[]).map(({ name }) => name)).toEqual(
      expect.arrayContaining([...KAFKA_CHECKS, 'blockchain', 'fsm']),
    );
  },
  metrics: async () => expect((await client.call('metrics')).body).toContain('\nteranode_p2p_connected_peers 1\n'),
  document: async () => expect(await done('document')).toEqual(client.document),
  watch: async () => {
    const { httpAddress } = server.ready;
    expect((await client.call('watch')).status).toBe(426);
    expect((await client.call('watch', { query: '?types=subtree' })).status).toBe(426);
    expect((await ask(httpAddress, upgradeText(httpAddress))).status).toBe(101);
  },
  getNetwork: async () => {
    const { tip, own, versions } = await done('getNetwork');
    expect({ tip, own, versions }).toMatchObject({ tip: expect.anything(), own: expect.anything() });
  },
  listEndpoints: async () => {
    await waitFor(async () => (await rows('listEndpoints')).some(({ url }) => url === DATA_HUB), {
      what: 'the DataHub of the Go peer',
    });
    expect((await client.call('listEndpoints', { query: '?kind=x' })).status).toBe(400);
  },
  listHistoryBlocks: async () => {
    expect(await rows('listHistoryBlocks')).toEqual(expect.any(Array));
    expect((await client.call('listHistoryBlocks', { query: '?limit=x' })).status).toBe(400);
  },
  listHistoryHours: async () => {
    expect(await rows('listHistoryHours')).toEqual(expect.any(Array));
    expect((await client.call('listHistoryHours', { query: '?limit=x' })).status).toBe(400);
  },
  // The stream itself has no end: feeds.test.ts reads it.
  streamEvents: async () => {
    expect((await client.call('streamEvents', { query: '?since=x' })).status).toBe(400);
    expect((await client.call('streamEvents', { query: '?types=x' })).status).toBe(400);
  },
  listPeers: async () => {
    const [known, ...rest] = await rows('listPeers');
    expect(rest).toEqual([]);
    expect(known).toMatchObject({ id: peer.peerId, agentVersion: AGENT, direction: 'inbound', isWhitelisted: false });
    expect(known?.addresses).toEqual([expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+/)]);
    for (const bytes of [known?.bytesSent, known?.bytesReceived]) expect(bytes).toBeGreaterThan(0);
    for (const atMs of [known?.connectedAtMs, known?.claimedAtMs, known?.lastMessageMs])
      expect(Math.abs(Number(atMs) - Date.now())).toBeLessThan(300_000);
    expect(known).toMatchObject({
      localAddress: server.address,
      height: 2,
      bestBlockHash: headerHash(second),
      provenHeight: 1,
      provenHash: headerHash(first),
      dataHubUrl: DATA_HUB,
      isBanned: false,
    });
    expect(known?.lastMessageMs).toBeGreaterThanOrEqual(Number(known?.claimedAtMs));
  },
  getPeer: async () => {
    const known = { agentVersion: AGENT, bestBlockHash: headerHash(second), dataHubUrl: DATA_HUB };
    expect(await done('getPeer', { params: { id: peer.peerId } })).toMatchObject(known);
    // Nobody listens there.
    await waitFor(async () => (await done('getPeer', { params: { id: peer.peerId } })).dataHubHealth === 'unhealthy', {
      what: 'a check of its DataHub',
    });
    expect((await client.call('getPeer', { params: { id: other.peerId } })).status).toBe(404);
    expect((await client.call('getPeer', { params: { id: 'x' } })).status).toBe(400);
  },
  connectPeer: async () => {
    expect(await done('connectPeer', { body: { address: other.addresses[0] } })).toEqual({ peerId: other.peerId });
    expect(await other.isConnectedTo(server.peerId)).toBe(true);
    expect(await done('getPeer', { params: { id: other.peerId } })).toMatchObject({
      direction: 'outbound',
      dataHubHealth: 'unknown',
    });
    const nobody = `/ip4/127.0.0.1/tcp/1/p2p/${other.peerId.slice(0, -4)}abcd`;
    expect([400, 502]).toContain((await client.call('connectPeer', { body: { address: nobody } })).status);
    expect((await client.call('connectPeer', { body: { address: 'x' } })).status).toBe(400);
  },
  disconnectPeer: async () => {
    await done('connectPeer', { body: { address: other.addresses[0] } });
    expect(await done('disconnectPeer', { params: { id: other.peerId } })).toEqual({ disconnected: true });
    await waitFor(async () => !(await other.isConnectedTo(server.peerId)), { what: 'the end of the connection' });
    await waitFor(async () => (await client.call('disconnectPeer', { params: { id: other.peerId } })).status === 404, {
      what: 'the end of the connection on our side',
    });
  },
  scorePeer: async () => {
    const reason = { reason: 'spam' };
    const { score } = await done('scorePeer', { params: { id: other.peerId }, body: reason });
    expect(score).toBeGreaterThan(0);
    const { scores, offences } = await done('explain', { params: { subject: other.peerId } });
    expect(scores).toContainEqual({ role: 'author', score: expect.any(Number) });
    expect(offences).toContainEqual(expect.objectContaining(reason));
    expect((await client.call('scorePeer', { params: { id: other.peerId }, body: {} })).status).toBe(400);
  },
  addBan: async () => {
    const untilMs = Date.now() + 60_000;
    const ban = await done('addBan', { body: { subject: '192.0.2.0/24', untilMs, reason: 'of the test' } });
    expect(ban).toMatchObject({
      key: '192.0.2.0/24',
      kind: 'subnet',
      untilMs,
      reason: 'of the test',
      source: 'operator',
    });
    expect(await done('addBan', { body: { subject: other.peerId } })).toMatchObject({ kind: 'peer' });
    for (const body of [
      {},
      { subject: 'x' },
      { subject: '192.0.2.1', untilMs: 1 },
      { subject: '192.0.2.1', untilMs: null },
    ]) {
      expect((await client.call('addBan', { body })).status).toBe(400);
    }
  },
  listBans: async () => {
    await done('addBan', { body: { subject: '198.51.100.7' } });
    expect((await rows('listBans')).map(({ key }) => key)).toContain('198.51.100.7');
    expect(await rows('listBans', { query: '?offset=0&limit=1' })).toHaveLength(1);
    expect((await client.call('listBans', { query: '?limit=0' })).status).toBe(400);
  },
  removeBans: async () => {
    await done('addBan', { body: { subject: '198.51.100.7' } });
    expect(await done('removeBans', { query: '?subject=198.51.100.7' })).toEqual({ lifted: true, isStored: true });
    expect(await done('removeBans', { query: '?subject=198.51.100.7' })).toEqual({ lifted: false, isStored: true });
    await done('addBan', { body: { subject: '198.51.100.7' } });
    expect(await done('removeBans', { query: '?all=true' })).toEqual({ lifted: true, isStored: true });
    expect(await rows('listBans')).toEqual([]);
    expect((await client.call('removeBans')).status).toBe(400);
  },
  explain: async () => {
    const subjects = [peer.peerId, '127.0.0.1', '192.0.2.0/24', '2001:db8::1', new URL(DATA_HUB).hostname];
    for (const subject of subjects) expect(await done('explain', { params: { subject } })).toHaveProperty('threshold');
    const { offences } = await done('explain', { params: { subject: peer.peerId } });
    // The forged block.
    expect(offences).toContainEqual(expect.objectContaining({ subject: peer.peerId, topic: topics.block }));
  },
  getSync: async () => {
    const sync = await done('getSync');
    expect(sync).toMatchObject({ fsmState: 'RUNNING', bestHeight: 0, bestBlockHash: expect.stringMatching(HASH) });
  },
  listSettings: async () => {
    const shown = Object.fromEntries((await rows('listSettings')).map((row) => [row.key, row]));
    expect(shown.network).toEqual({ key: 'network', value: 'mainnet', origin: 'environment network' });
    expect(JSON.stringify(shown)).not.toContain(PSK);
    expect(JSON.stringify(shown)).not.toContain(KEY);
  },
  listTopics: async () => {
    const found = await rows('listTopics');
    expect(found.map(({ name }) => name)).toEqual(expect.arrayContaining([topics.block, topics.subtree]));
    expect(found.find(({ name }) => name === topics.block)).toMatchObject({ subscribers: [peer.peerId] });
  },
  listAnnouncements: async () => {
    const found = await rows('listAnnouncements');
    const types = new Set(found.filter(({ peerId }) => peerId === peer.peerId).map(({ type }) => type));
    expect([...types].sort()).toEqual(['block', 'mining_on', 'subtree']);
    expect(await rows('listAnnouncements', { query: '?limit=1' })).toHaveLength(1);
    for (const limit of ['x', '201'])
      expect((await client.call('listAnnouncements', { query: `?limit=${limit}` })).status).toBe(400);
    // A type that is never listed is not described.
    const described = JSON.stringify(client.operations().find(({ id }) => id === 'listAnnouncements'));
    expect(described).toContain('"best_block"');
    expect(described).not.toContain('"node_status"');
  },
  listVerdicts: async () => {
    const found = (await rows('listVerdicts')).filter(({ author }) => author === peer.peerId);
    expect(found).toContainEqual(
      expect.objectContaining({ decision: 'accept', isProcessed: true, relay: peer.peerId }),
    );
    expect(found).toContainEqual(expect.objectContaining({ topic: topics.block, decision: 'reject' }));
    expect((await client.call('listVerdicts', { query: '?limit=201' })).status).toBe(400);
  },
};

beforeAll(async () => {
  server = await ServerProcess.start({
    // However fast this machine is: this is not about how many requests an address may send.
    settings: { ...privateNetwork('mainnet'), grpc_admin_api_key: KEY, p2p_http_rate: '0', p2p_history_days: '1' },
  });
  const options = { psk: PSK, agent: AGENT, topics: allTopics('mainnet'), allow: [server.peerId] };
  [peer, other] = await Promise.all([GoPeer.start(options), GoPeer.start(options)]);
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).mesh[topics.block]?.includes(server.peerId), { what: 'the mesh' });
  client = await OpenApiClient.load(server.ready.httpAddress, KEY);
  await announceAll();
});

afterAll(async () => {
  await Promise.all([peer?.stop(), other?.stop(), server?.stop()]);
});

/** One message of each kind by the Go peer, and a forged block, until all stand in the lists. */
async function announceAll(): Promise<void> {
  const { peerId: PeerID } = peer;
  const hashes = { Hash: headerHash(second), PreviousHash: headerHash(first) };
  const miningOn = { ...hashes, DataHubURL: DATA_HUB, PeerID, Height: 2, Miner: 'm', SizeInBytes: 285, TxCount: 1 };
  const status = { type: 'node_status', base_url: DATA_HUB, peer_id: PeerID, version: 'v1', commit_hash: 'abc' };
  const best = { best_height: 2, best_block_hash: headerHash(second) };
  await peer.publish(topics.subtree, JSON.stringify(subtreeFields(PeerID)));
  await peer.publish(topics.block, JSON.stringify(blockFields(second, 2, PeerID)));
  await peer.publish(topics.block, JSON.stringify({ ...forged, PeerID }));
  await peer.publish(topics.block, JSON.stringify(blockFields(first, 1, PeerID)));
  await peer.publish(topics.miningOn, JSON.stringify(miningOn));
  await peer.publish(topics.nodeStatus, JSON.stringify({ ...status, ...best, listen_mode: 'full' }));
  await waitFor(
    async () => {
      const announced = await rows('listAnnouncements');
      const verdicts = await rows('listVerdicts');
      const own = announced.filter(({ peerId }) => peerId === PeerID);
      const isStatusHeard = verdicts.some(({ topic, isProcessed }) => topic === topics.nodeStatus && isProcessed);
      return own.length >= 4 && isStatusHeard && verdicts.some(({ decision }) => decision === 'reject');
    },
    { what: 'what the Go peer announced' },
  );
}

test('the OpenAPI document has exactly the operations that are called here', () => {
  expect(
    client
      .operations()
      .map(({ id }) => id)
      .sort(),
  ).toEqual(Object.keys(EVERY).sort());
});

describe('every operation responds as the OpenAPI document says', () => {
  test.each(Object.keys(EVERY))('%s', async (id) => {
    await EVERY[id]?.();
  });
});

test('changes need the admin key, and an address gets only a few attempts', async () => {
  const changes = client.operations().filter(({ needsKey }) => needsKey);
  expect(changes.length).toBeGreaterThan(4);
  expect(changes.every(({ method }) => method !== 'GET')).toBe(true);
  const params = { id: peer.peerId };
  const statusOf = async (id: string, key: string | undefined) => (await client.call(id, { params, key })).status;
  for (const { id } of changes) {
    expect(await statusOf(id, undefined)).toBe(401);
    expect(await statusOf(id, `${KEY}x`)).toBe(401);
  }
  for (let i = changes.length; i < 10; i += 1) expect(await statusOf('removeBans', `guess ${i}`)).toBe(401);
  for (const { id } of changes) expect(await statusOf(id, `${KEY}x`)).toBe(429);
  // Nothing happened, and what only looks is answered.
  expect((await rows('listPeers')).map(({ id }) => id)).toEqual([peer.peerId]);
});

test('no response was refused by its schema', async () => {
  expect(await server.metric('teranode_p2p_http_answers_refused_total')).toBe(0);
  expect(server.output.json.filter(({ level }) => level === 'error')).toEqual([]);
});
