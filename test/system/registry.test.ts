// What a node remembers of peers: of those that it only hears of, no more than its bounds, and of those that are
// connected everything that can be known.
import { afterEach, expect, test } from 'vitest';
import { admin } from '../support/admin.ts';
import { GoGrpcClient } from '../support/go-grpc.ts';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, DATA_HUB, PSK, privateNetwork, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = topicsOf('regtest');
const KEY = 'a-key-of-this-test-only-44';
const SETTINGS = { ...privateNetwork('regtest'), asset_httpPublicAddress: DATA_HUB, grpc_admin_api_key: KEY };
const STRANGERS = 10_000;
/** Strangers that are kept; the rest of the registry is for connected peers. */
const KEPT = 2000;
const PER_SECOND = 1000;
/** What the further 8,000 may cost beside the noise of the machine: measured are about 30 MiB, garbage included. */
const MAX_GROWTH_BYTES = 100 * 1024 * 1024;

const positive = expect.toSatisfy((text: string) => Number(text) > 0);
/** Unix seconds of today. */
const time = expect.stringMatching(/^[12]\d{9}$/);
/**
 * All 27 fields as a Go client gets them; what is empty here is of Bitcoin's own protocol, or has no defined meaning.
 */
const GO_PEER = {
  addr: expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+/),
  addrLocal: expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+/),
  services: '5',
  lastSend: time,
  lastRecv: time,
  sendSize: '0',
  recvSize: '0',
  sendMemory: '0',
  pauseSend: false,
  unpauseSend: false,
  bytesSent: positive,
  bytesReceived: positive,
  avgRecvBandwidth: '0',
  assocId: '',
  streamPolicy: '',
  inbound: false,
  connTime: time,
  pingTime: positive,
  timeOffset: '0',
  version: 0,
  subVer: 'teranode/bitcoin/v9.8.7',
  startingHeight: 7,
  currentHeight: 0,
  banscore: 0,
  whitelisted: false,
  feeFilter: '0',
};

const running: { stop(): unknown }[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

function status(peerId: string, height: number): string {
  return JSON.stringify({
    type: 'node_status',
    base_url: DATA_HUB,
    peer_id: peerId,
    version: 'v1.2.3',
    commit_hash: 'abcdef0',
    best_block_hash: '0b'.repeat(32),
    best_height: height,
    block_assembly_details: {},
    fsm_state: 'RUNNING',
    start_time: 1_764_000_000,
    uptime: 1.5,
    client_name: 'stranger',
    miner_name: 'miner '.repeat(20),
    listen_mode: 'full',
    chain_work: '0a'.repeat(32),
  });
}

async function startPeer(): Promise<GoPeer> {
  const peer = await GoPeer.start({
    psk: PSK,
    topics: allTopics('regtest'),
    agent: 'told-to-libp2p/1.0',
  });
  running.push(peer);
  await peer.handshake({
    protocol: 'teranode/bitcoin/1.0.0',
    topic: topics.handshake,
    says: {
      bestHeight: 7,
      bestHash: '0b'.repeat(32),
      dataHubURL: DATA_HUB,
      userAgent: 'teranode/bitcoin/v9.8.7',
      services: 5,
      topicPrefix: 'bitcoin/regtest',
    },
  });
  return peer;
}

/** What is counted beside each `<name>_bound` of the metrics; the registry's own is looked at by itself. */
const COUNTED = ['', '_entries', '_length', '_waiting', '_running'];

/** Nothing that has a bound exceeds it. */
function expectWithinBounds(metrics: string): void {
  const series = [...metrics.matchAll(/^(teranode_p2p_\w+)(\{.*\})? (\S+)$/gm)];
  const values = new Map(series.map(([, name = '', labels = '', value]) => [name + labels, Number(value)] as const));
  const bounds = series.filter(([, name = '']) => name.endsWith('_bound') && !name.includes('_registry_'));
  expect(bounds.length).toBeGreaterThan(10);
  for (const [text, name = '', labels = '', bound] of bounds) {
    const base = name.slice(0, -'_bound'.length);
    const counted = COUNTED.map((suffix) => values.get(base + suffix + labels)).filter((value) => value !== undefined);
    expect(counted, text).toHaveLength(1);
    expect(counted[0], text).toBeLessThanOrEqual(Number(bound));
  }
}

test('10,000 gossiped peer IDs leave memory and registry within their bounds; getPeers lists exactly the connected peers with every known field', async () => {
  const dialled = await startPeer();
  const server = await ServerProcess.start({
    settings: { ...SETTINGS, p2p_static_peers: dialled.addresses[0] ?? '', p2p_ban_whitelist: 'static' },
  });
  const operator = new GoGrpcClient({ address: server.ready.grpcAddress, key: KEY });
  running.push(server, operator);
  const dialler = await startPeer();
  await dialler.connect(server.address);
  await waitFor(async () => (await dialler.mesh()).mesh[topics.nodeStatus]?.includes(server.peerId), {
    timeoutMs: 30_000,
    what: 'the mesh',
  });
  const strangers = (kind = 'stranger') => server.metric('teranode_p2p_registry_peers', `kind="${kind}"`);
  const say = async (count: number) => {
    const template = status('PEER_ID', 1000);
    const job = { topic: topics.nodeStatus, template, count, ratePerSecond: PER_SECOND };
    const heardBefore = await heard();
    const ids = await dialler.publishAs(job);
    await waitFor(async () => (await heard()) >= heardBefore + count, {
      timeoutMs: 60_000,
      what: `${count} strangers`,
    });
    return ids;
  };
  const heard = () => server.metric('teranode_p2p_gossip_messages_total', 'topic="node_status"', 'reason="processed"');

  // As many as are kept, before the measure is taken.
  await say(KEPT);
  const before = server.memoryBytes();
  const ids = await say(STRANGERS - KEPT);
  expect(new Set(ids).size).toBe(STRANGERS - KEPT);
  expect(await strangers()).toBe(KEPT);
  expect(await strangers('connected')).toBe(2);
  expect(await server.metric('teranode_p2p_registry_evicted_total', 'reason="full"')).toBe(STRANGERS - KEPT);
  expect(server.memoryBytes() - before).toBeLessThan(MAX_GROWTH_BYTES);
  expectWithinBounds((await server.get('/metrics')).body);

  expect(
    await operator.call('p2p_api.PeerService/AddBanScore', { peerId: dialler.peerId, reason: 'invalid_subtree' }),
  ).toMatchObject({ code: 'OK' });
  await dialler.publish(topics.nodeStatus, status(dialler.peerId, 9));
  const isoTime = expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d/);
  const known = {
    address: expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+/),
    agentVersion: 'teranode/bitcoin/v9.8.7',
    services: '5',
    connectedAt: isoTime,
    lastSend: isoTime,
    lastReceive: isoTime,
    bytesSent: expect.toSatisfy((bytes: number) => bytes > 0),
    bytesReceived: expect.toSatisfy((bytes: number) => bytes > 0),
    pingMs: expect.toSatisfy((ms: number) => ms > 0),
    startingHeight: 7,
    localAddress: expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+/),
    bestBlockHash: '0b'.repeat(32),
    claimedAt: isoTime,
    dataHubHealth: expect.stringMatching(/^(unknown|unhealthy)$/),
    dataHubUrl: DATA_HUB,
    lastMessage: isoTime,
    isBanned: false,
  };
  await waitFor(
    async () => {
      const peers = await admin(server, 'peers', 'list');
      const byId = new Map(peers.map((peer) => [peer.id, peer]));
      expect([...byId.keys()].sort()).toEqual([dialled.peerId, dialler.peerId].sort());
      expect(byId.get(dialler.peerId)).toEqual({
        ...known,
        id: dialler.peerId,
        direction: 'inbound',
        height: 9,
        banScore: 10,
        isWhitelisted: false,
      });
      expect(byId.get(dialled.peerId)).toEqual({
        ...known,
        id: dialled.peerId,
        direction: 'outbound',
        height: 7,
        banScore: 0,
        isWhitelisted: true,
      });
      return true;
    },
    { timeoutMs: 60_000, what: 'all that can be known of both' },
  );

  const { response } = await operator.call('p2p_api.PeerService/GetPeers');
  const peers = (response?.peers ?? []) as Record<string, unknown>[];
  expect(peers).toHaveLength(2);
  expect(peers.find(({ id }) => id === dialler.peerId)).toEqual({
    ...GO_PEER,
    id: dialler.peerId,
    addrLocal: server.address,
    inbound: true,
    currentHeight: 9,
    banscore: 10,
  });
  expect(peers.find(({ id }) => id === dialled.peerId)).toEqual({
    ...GO_PEER,
    id: dialled.peerId,
    currentHeight: 7,
    whitelisted: true,
  });
});
