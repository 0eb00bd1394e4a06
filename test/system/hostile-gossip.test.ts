// A peer that signs what it likes, on both wires: texts that would take over a terminal, URLs that a fetcher must not
// append to, statuses that cost much to read, and more of all than a node may say.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import { createPeerClient } from '../../src/client/index.ts';
import type { GossipMessage } from '../../src/ports/p2p-node.ts';
import { writeEnvelope } from '../../src/wire/envelope.ts';
import { bannedKeys } from '../support/admin.ts';
import { messageBus } from '../support/bus-network.ts';
import { busTopics } from '../support/go-bus.ts';
import { privateNetwork, topicsOf } from '../support/network.ts';
import { BUS, makeNode } from '../support/nodes.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';
import { RawWebSocket } from '../support/websocket.ts';

const OLD = topicsOf('regtest');
const NEW = busTopics('regtest');
const HASH = 'ab'.repeat(32);
const HUB = 'http://127.0.0.1:8090/api/v1';
const MAX_AUTHOR_BYTES = 3 * 1024 * 1024;
/** ESC sequence, line break, C1 control, bidi override and isolate, zero width, soft hyphen, tag, filler. */
const HOSTILE = 'a\u001b[31mb\r\nc\u009bd\u202ee\u2066f\u200b\u200d\ufeff\u2060g\u00adh\u{e0041}i\u3164j';
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

type Wire = 'go-p2p' | 'message-bus';

interface Peer {
  readonly node: Libp2pNode;
  readonly id: string;
  /** On message-bus in an envelope. */
  say(topic: string, fields: object): Promise<unknown>;
}

const nodes: Libp2pNode[] = [];
let server: ServerProcess;
let frames: RawWebSocket;
let old: Peer;
let bus: Peer;

/** A peer in the mesh of all topics; what it hears of them is given to `heard`. */
async function join(wire: Wire, heard?: (message: GossipMessage) => void): Promise<Peer> {
  const isBus = wire === 'message-bus';
  const { node } = await makeNode({ ...(isBus ? BUS : {}), userAgent: `agent ${HOSTILE}` });
  nodes.push(node);
  const topics = Object.values(isBus ? NEW : OLD);
  if (heard !== undefined)
    for (const topic of topics)
      node.setTopicHandler(topic, (message) => {
        heard(message);
        return 'accept';
      });
  await node.start(new AbortController().signal, undefined, topics);
  await node.connectPeer(server.addressOn(wire));
  const isMeshed = (topic: string) =>
    node
      .getTopic(topic)
      ?.mesh()
      .some((id) => id === server.peerId) === true;
  await waitFor(() => topics.every(isMeshed), { what: 'the mesh' });
  const bytesOf = (fields: object) => {
    const inner = Buffer.from(JSON.stringify(fields));
    return isBus ? writeEnvelope('peer', inner) : inner;
  };
  return { node, id: node.hostId(), say: (topic, fields) => node.publish(topic, bytesOf(fields)) };
}

const counted = (topic: string, reason: string) =>
  server.metric('teranode_p2p_gossip_messages_total', `topic="${topic}"`, `reason="${reason}"`);

function status(peerId: string, fields: object = {}) {
  return { type: 'node_status', peer_id: peerId, base_url: HUB, best_height: 1, uptime: 1.5, ...fields };
}

beforeAll(async () => {
  server = await ServerProcess.start({
    settings: {
      ...messageBus('regtest'),
      ...privateNetwork('regtest'),
      p2p_wire: 'both',
      p2p_go_p2p_port: '0',
      p2p_author_byte_rate: '65536',
      p2p_author_byte_burst: String(MAX_AUTHOR_BYTES),
      logLevel: 'TRACE',
    },
  });
  const types = 'block,subtree,mining_on,node_status,rejected_tx,best_block';
  frames = await RawWebSocket.open(server.ready.httpAddress, { path: `/p2p-ws?types=${types}` });
  [old, bus] = await Promise.all([join('go-p2p'), join('message-bus')]);
}, 120_000);

// Peers of one test would otherwise find those of the next.
afterEach(async () => {
  const isKept = (node: Libp2pNode) => node === old.node || node === bus.node;
  await Promise.all(nodes.filter((node) => !isKept(node)).map((node) => node.stop()));
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await server?.stop();
});

describe('texts of peers are shown without characters that take over a terminal or hide', () => {
  const TEXTS = {
    version: HOSTILE,
    commit_hash: HOSTILE,
    fsm_state: HOSTILE,
    client_name: `${HOSTILE}${'\u200b'.repeat(900)}`,
    miner_name: `${HOSTILE}${'n'.repeat(200)}`,
    sync_peer_id: HOSTILE,
  };
  const OF_GO_P2P = { listen_mode: HOSTILE, block_assembly_details: { blockAssemblyState: HOSTILE } };

  test('by WebSocket, HTTP, gRPC and in the log, on both wires', async () => {
    await old.say(OLD.nodeStatus, { ...status(old.id, TEXTS), ...OF_GO_P2P, base_url: 'javascript:alert(1)' });
    await old.say(OLD.rejectedTx, { TxID: HASH, Reason: HOSTILE, PeerID: old.id });
    await old.say(OLD.miningOn, { Hash: HASH, DataHubURL: HUB, PeerID: old.id, Miner: HOSTILE });
    await old.say(OLD.subtree, {
      Hash: HASH,
      DataHubURL: HUB,
      PeerID: old.id,
      ClientName: HOSTILE,
    });
    await bus.say(NEW.nodeStatus, status(bus.id, TEXTS));
    await bus.say(NEW.rejectedTx, { TxID: HASH, Reason: HOSTILE, PeerID: bus.id });
    await bus.say(NEW.subtree, { Hash: HASH, DataHubURL: HUB, PeerID: bus.id, ClientName: HOSTILE });
    const expected = ['node_status', 'rejected_tx', 'mining_on', 'subtree'].map((type) => `${type} ${old.id}`);
    expected.push(...['node_status', 'rejected_tx', 'subtree'].map((type) => `${type} ${bus.id}`));
    const shown = () => frames.messages().filter(({ peer_id: id }) => id === old.id || id === bus.id);
    await waitFor(() => expected.every((each) => shown().some((it) => `${it.type} ${it.peer_id}` === each)), {
      what: 'a frame of each message',
    }).catch(() => undefined);
    expect(shown().map((it) => `${it.type} ${it.peer_id}`)).toEqual(expect.arrayContaining(expected));
    expect(frames.texts().filter((text) => HIDDEN.test(text))).toEqual([]);
    expect(textsIn(frames.messages()).filter((text) => HIDDEN.test(text))).toEqual([]);
    const statuses = shown().filter(({ type }) => type === 'node_status');
    for (const { client_name, miner_name, version } of statuses) {
      expect(String(client_name)).toMatch(/^a\[31mb ?cdefghij$/);
      expect(String(miner_name)).toMatch(/^a\[31mb ?cdefghijn+$/);
      for (const text of [client_name, miner_name, version]) expect(String(text).length).toBeLessThanOrEqual(64);
    }
    expect(statuses.find(({ peer_id: id }) => id === old.id)).not.toHaveProperty('base_url');
    expect(frames.texts().filter((text) => text.includes('javascript:'))).toEqual([]);
    expect(await server.metric('teranode_p2p_datahub_urls_omitted_total', 'node_status')).toBe(1);
  });

  test('of a handshake and of identify', async () => {
    const version = { type: 'version', peerID: old.id, bestHeight: 1, bestHash: HASH, services: 1 };
    const said = { ...version, dataHubURL: `${HUB}?x=1`, userAgent: `handshake ${'\u202e\u001b[2J'.repeat(20)}` };
    await old.say(OLD.handshake, { ...said, topicPrefix: 'bitcoin/regtest' });
    const client = createPeerClient({ address: server.ready.grpcAddress });
    const agents = async () => (await client.listPeers()).map(({ agentVersion = '' }) => agentVersion);
    await waitFor(async () => (await agents()).some((agent) => agent.startsWith('handshake ')), {
      what: 'the user agent',
    });
    expect((await agents()).filter((agent) => HIDDEN.test(agent) || agent === '')).toEqual([]);
    client.close();
    for (const path of ['peers', 'announcements', 'verdicts']) {
      const { status: code, body } = await server.get(`/api/v1/${path}`);
      expect([path, code]).toEqual([path, 200]);
      expect(textsIn(JSON.parse(body)).filter((text) => HIDDEN.test(text))).toEqual([]);
    }
    expect(await server.metric('teranode_p2p_datahub_urls_omitted_total', 'handshake')).toBeGreaterThan(0);
    expect(textsIn(server.output.json).filter((text) => HIDDEN.test(text.replaceAll('\n', '')))).toEqual([]);
  });
});

describe('a DataHub URL that a path cannot be appended to', () => {
  const URLS = [`${HUB}?x=`, `${HUB}#`, `${HUB}/../v2`, `${HUB}/%2e%2E/v2`, 'http://127.0.0.1\\api'];
  const hashOf = (i: number) => i.toString(16).padStart(64, '0');

  test('is neither handed on nor shown on any topic of either wire, is counted, and costs nobody anything', async () => {
    const before = frames.messages().length;
    for (const [i, DataHubURL] of URLS.entries()) {
      await old.say(OLD.subtree, { Hash: hashOf(i), DataHubURL, PeerID: old.id });
      await old.say(OLD.block, { Hash: hashOf(i), Height: 1, DataHubURL, PeerID: old.id });
      await old.say(OLD.miningOn, { Hash: hashOf(i), Height: 1, DataHubURL, PeerID: old.id });
      await old.say(OLD.nodeStatus, status(old.id, { base_url: DataHubURL, propagation_url: DataHubURL }));
      await bus.say(NEW.subtree, { Hash: hashOf(100 + i), DataHubURL, PeerID: bus.id });
      await bus.say(NEW.nodeStatus, status(bus.id, { base_url: DataHubURL }));
      await bus.say(NEW.nodeStatus, status(bus.id, { propagation_url: DataHubURL }));
    }
    const refused = async () => ({
      subtree: await counted('subtree', 'datahub_url'),
      block: await counted('block', 'datahub_url'),
      mining_on: await counted('mining_on', 'datahub_url'),
      node_status: await counted('node_status', 'datahub_url'),
      omitted: await server.metric('teranode_p2p_datahub_urls_omitted_total', 'node_status'),
    });
    const all = { subtree: 10, block: 5, mining_on: 5, node_status: 5, omitted: 6 };
    await waitFor(async () => Object.values(await refused()).join() === Object.values(all).join(), {
      what: 'all of them',
    }).catch(() => undefined);
    expect(await refused()).toEqual(all);
    const urls = frames
      .messages()
      .slice(before)
      .flatMap((frame) => [frame.base_url, frame.propagation_url])
      .filter((url) => url !== undefined && url !== HUB);
    expect(urls).toEqual([]);
    for (const { id } of [old, bus])
      expect(JSON.parse((await server.get(`/api/v1/explain/${id}`)).body)).toMatchObject({ scores: [], offences: [] });
  });
});

describe('statuses of 250 KiB', () => {
  const COUNT = 10;

  test('with 100,000 values in an unknown field cost less than real ones, are not forwarded and penalize nobody', async () => {
    // Peers also find each other, so it counts what comes from the server only.
    const heard = { real: 0, forwarded: 0 };
    const [hostile, real] = await Promise.all([join('go-p2p'), join('go-p2p')]);
    await join('go-p2p', ({ author, receivedFrom }) => {
      if (author === real.id) heard.real += 1;
      if (author === hostile.id && receivedFrom === server.peerId) heard.forwarded += 1;
    });
    const subtrees = Array.from({ length: 3700 }, (_each, i) => i.toString(16).padStart(64, '0'));
    const spent = () => server.metric('teranode_p2p_gossip_handler_seconds_sum', 'node_status');
    const timeOf = async ({ id, say }: Peer, fields: object, reason: string) => {
      const [before, spentBefore] = [await counted('node_status', reason), await spent()];
      for (let i = 0; i < COUNT; i += 1) await say(OLD.nodeStatus, status(id, fields));
      const isDone = async () => (await counted('node_status', reason)) >= before + COUNT;
      await waitFor(isDone, { timeoutMs: 60_000, what: `${COUNT} statuses: ${reason}` });
      return (await spent()) - spentBefore;
    };
    const ofReal = await timeOf(real, { block_assembly_details: { subtrees } }, 'processed');
    await waitFor(() => heard.real >= COUNT, { timeoutMs: 60_000, what: 'the real ones at another peer' });
    const ones = Array.from({ length: 120_000 }, () => 1);
    const ofHostile = await timeOf(hostile, { unknown: ones }, 'decode');
    expect(await server.metric('teranode_p2p_decode_faults_total', 'fault="too_many_values"')).toBe(COUNT);
    // They take a tenth of it. With a callback for every value they would take 30 times as long.
    expect(ofHostile).toBeLessThan(10 * ofReal);
    expect(heard).toEqual({ real: COUNT, forwarded: 0 });
    expect(JSON.parse((await server.get(`/api/v1/explain/${hostile.id}`)).body)).toMatchObject({ scores: [] });
  });
});

describe('an author', () => {
  test('is heard with 5 statuses a second after a burst, and with all else that it says', async () => {
    const author = await join('go-p2p');
    const [before, startedMs] = [await counted('node_status', 'processed'), performance.now()];
    for (let i = 0; i < 300; i += 1) await author.say(OLD.nodeStatus, status(author.id));
    await waitFor(async () => (await counted('node_status', 'status_rate')) > 0, { what: 'a status too many' });
    const seconds = (performance.now() - startedMs) / 1000;
    expect((await counted('node_status', 'processed')) - before).toBeLessThanOrEqual(100 + 5 * (seconds + 2));
    const subtrees = await counted('subtree', 'processed');
    await author.say(OLD.subtree, { Hash: 'cd'.repeat(32), DataHubURL: HUB, PeerID: author.id });
    await waitFor(async () => (await counted('subtree', 'processed')) > subtrees, { what: 'a subtree' });
    expect(await bannedKeys(server)).toEqual([]);
  });

  test('is stopped beyond its bytes, and the neighbour that forwarded them is not penalized', async () => {
    const forwarder = await join('go-p2p', () => {});
    const { node } = await makeNode();
    nodes.push(node);
    await node.start(new AbortController().signal, undefined, Object.values(OLD));
    await node.connectPeer(forwarder.node.listenAddresses()[0] ?? '');
    await waitFor(() => node.getTopic(OLD.nodeStatus)?.mesh().includes(forwarder.node.hostId()), { what: 'a mesh' });
    const subtrees = Array.from({ length: 3700 }, (_each, i) => i.toString(16).padStart(64, '0'));
    const bytes = Buffer.from(JSON.stringify(status(node.hostId(), { block_assembly_details: { subtrees } })));
    const stopped = () => counted('node_status', 'author_bytes');
    const enough = Math.ceil((2 * MAX_AUTHOR_BYTES) / bytes.length);
    for (let i = 0; i < enough && (await stopped()) === 0; i += 1) await node.publish(OLD.nodeStatus, bytes);
    await waitFor(async () => (await stopped()) > 0, { what: 'a status beyond the bytes' });
    const explained = async (id: string) => JSON.parse((await server.get(`/api/v1/explain/${id}`)).body);
    expect(await explained(node.hostId())).toMatchObject({
      offences: expect.arrayContaining([expect.objectContaining({ rule: 'author_bytes', reason: 'spam' })]),
    });
    expect(await explained(forwarder.id)).toMatchObject({ scores: [], offences: [], inForce: [] });
    expect(forwarder.node.currentlyConnectedPeers().map(({ id }) => String(id))).toContain(server.peerId);
  });
});

/** All texts in a value, however deep. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
