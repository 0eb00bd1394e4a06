// Who pays for what: invalid content costs its author, and nobody else. flood-blame.test.ts has the floods.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { admin, bannedKeys } from '../support/admin.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { writeTopic } from '../support/kafka-writer.ts';
import {
  allTopics,
  blockFields,
  kafkaSettings,
  mainnetHeaders,
  PSK,
  privateNetwork,
  protobufOf,
  subtreeFields,
  topicsOf,
} from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = topicsOf('mainnet');
const headers = mainnetHeaders();
const GO = { psk: PSK, topics: allTopics('mainnet') };
let broker: KafkaBroker;

beforeAll(async () => {
  broker = await KafkaBroker.start();
});

afterAll(async () => {
  await broker?.stop();
});

async function inMesh(peer: GoPeer, id: string): Promise<boolean> {
  const { mesh } = await peer.mesh();
  return mesh[topics.block]?.includes(id) === true && mesh[topics.subtree]?.includes(id) === true;
}

describe('bad author – honest neighbour – us', () => {
  let server: ServerProcess;
  let bad: GoPeer;
  let relay: GoPeer;
  const invalidBlock = (index: number) => protobufOf({ 1: hashAt(index), 2: 'invalid' });
  const hashAt = (index: number) => blockFields(headerAt(index), index, '').Hash;
  const headerAt = (index: number) => headers[index] ?? Buffer.alloc(80);
  const reported = (kind: string, outcome: string) =>
    server.metric('teranode_p2p_reports_total', `kind="${kind}"`, `outcome="${outcome}"`);

  beforeAll(async () => {
    server = await ServerProcess.start({
      settings: { ...privateNetwork('mainnet'), ...kafkaSettings(broker.address) },
    });
    relay = await GoPeer.start(GO);
    bad = await GoPeer.start({ ...GO, allow: [relay.peerId] });
    await bad.connect(relay.addresses[0] ?? '');
    await relay.connect(server.address);
    await waitFor(() => inMesh(relay, server.peerId), { what: 'the mesh with the server' });
    await waitFor(() => inMesh(bad, relay.peerId), { what: 'the mesh of the two' });
  });

  afterAll(async () => {
    await Promise.all([bad?.stop(), relay?.stop(), server?.stop()]);
  });

  const processed = () => server.metric('teranode_p2p_gossip_messages_total', 'reason="processed"');

  test('undecodable reports are counted and skipped; unknown hashes and those announced by two authors penalize nobody', async () => {
    await bad.publish(topics.block, JSON.stringify(blockFields(headerAt(100), 100, bad.peerId)));
    await relay.publish(topics.block, JSON.stringify(blockFields(headerAt(100), 100, relay.peerId)));
    await waitFor(async () => (await processed()) === 2, { what: 'two announcements of one block' });
    await writeTopic(broker.address, 'invalid-blocks', [
      Buffer.from('no protobuf'),
      invalidBlock(4999),
      protobufOf({ 1: hashAt(100).toUpperCase(), 2: 'invalid' }),
    ]);
    await waitFor(async () => (await reported('invalid_block', 'ambiguous')) === 1, {
      timeoutMs: 30_000,
      what: 'the report of a block announced by two',
    });
    expect(await reported('invalid_block', 'undecodable')).toBe(1);
    expect(await reported('invalid_block', 'unattributed')).toBe(1);
    for (const { peerId } of [bad, relay])
      expect((await admin(server, 'bans', 'explain', peerId))[0]).toMatchObject({ scores: [], inForce: [] });
  });

  test('a subtree reported with another peer’s URL penalizes its author, not the owner of the URL', async () => {
    const claimed = { ...subtreeFields(bad.peerId), DataHubURL: 'http://127.0.0.1:7777/of-the-relay' };
    const own = { ...subtreeFields(relay.peerId), DataHubURL: 'http://127.0.0.1:7777/of-the-relay' };
    const before = await processed();
    await relay.publish(topics.subtree, JSON.stringify(own));
    await bad.publish(topics.subtree, JSON.stringify(claimed));
    await waitFor(async () => (await processed()) === before + 2, { what: 'both subtrees' });
    await writeTopic(broker.address, 'invalid-subtrees', [
      protobufOf({ 1: claimed.Hash.toUpperCase(), 2: claimed.DataHubURL, 3: 'invalid' }),
    ]);
    await waitFor(async () => (await reported('invalid_subtree', 'charged')) === 1, {
      timeoutMs: 30_000,
      what: 'the report',
    });
    expect((await admin(server, 'bans', 'explain', bad.peerId))[0]).toMatchObject({
      scores: [{ role: 'author', score: 10 }],
    });
    expect((await admin(server, 'bans', 'explain', relay.peerId))[0]).toMatchObject({ scores: [] });
    // At the host it is noted, and is no score: its name is what the author claims.
    expect((await admin(server, 'bans', 'explain', '127.0.0.1'))[0]).toMatchObject({
      scores: [],
      shadowScores: [{ role: 'datahub', score: 10 }],
      offences: [{ reason: 'invalid_subtree', role: 'datahub', subject: '127.0.0.1' }],
      inForce: [],
    });
  });

  test('our own rejected transactions are announced, those of other nodes are not', async () => {
    const ours = 'ab'.repeat(32);
    await writeTopic(broker.address, 'rejectedtx', [
      protobufOf({ 1: 'cd'.repeat(32), 2: 'theirs', 3: relay.peerId }),
      protobufOf({ 1: ours, 2: 'fee too low' }),
    ]);
    await waitFor(async () => (await relay.received(topics.rejectedTx)).length > 0, {
      timeoutMs: 30_000,
      what: 'the announcement',
    });
    expect((await relay.received(topics.rejectedTx)).map(({ data }) => data.toString())).toEqual([
      JSON.stringify({ TxID: ours, Reason: 'fee too low', PeerID: server.peerId }),
    ]);
    expect(await reported('rejected_tx', 'not_ours')).toBe(1);
  });

  test('invalid blocks reported through Kafka ban the author; the propagation source keeps score 0 and its connection', async () => {
    const before = await processed();
    for (let i = 1; i <= 12; i += 1)
      await bad.publish(topics.block, JSON.stringify(blockFields(headerAt(i), i, bad.peerId)));
    await waitFor(async () => (await processed()) === before + 12, { what: 'the announcements' });
    await writeTopic(
      broker.address,
      'invalid-blocks',
      Array.from({ length: 12 }, (_each, i) => invalidBlock(i + 1)),
    );
    await waitFor(async () => (await bannedKeys(server)).includes(bad.peerId), { timeoutMs: 30_000, what: 'the ban' });
    expect(await bannedKeys(server)).toEqual([bad.peerId]);
    const [explained] = await admin(server, 'bans', 'explain', bad.peerId);
    expect(explained).toMatchObject({ subject: bad.peerId, threshold: 100 });
    expect(explained?.offences).toContainEqual(
      expect.objectContaining({ reason: 'invalid_block', rule: 'invalid_block_report', hash: hashAt(1) }),
    );
    expect(explained?.inForce).toEqual([
      expect.objectContaining({
        key: bad.peerId,
        source: 'automatic',
        evidence: expect.stringContaining('not connected directly'),
      }),
    ]);
    expect((await admin(server, 'bans', 'explain', relay.peerId))[0]).toMatchObject({ scores: [], inForce: [] });
    expect(await relay.isConnectedTo(server.peerId)).toBe(true);
    await bad.publish(topics.block, JSON.stringify(blockFields(headerAt(200), 200, bad.peerId)));
    await waitFor(
      async () => (await server.metric('teranode_p2p_gossip_messages_total', 'reason="banned_author"')) === 1,
      { what: 'the drop' },
    );
  });
});

test('a flood and forgeries are only recorded in shadow mode', async () => {
  const server = await ServerProcess.start({
    settings: {
      ...privateNetwork('mainnet'),
      p2p_policy_mode: 'shadow',
      p2p_author_rate: '10',
      p2p_author_burst: '10',
    },
  });
  const peer = await GoPeer.start({ ...GO, allow: [server.peerId] });
  try {
    await peer.connect(server.address);
    await waitFor(() => inMesh(peer, server.peerId), { what: 'the mesh' });
    for (let i = 1; i <= 6; i += 1)
      await peer.publish(topics.block, JSON.stringify(blockFields(headers[i] ?? Buffer.alloc(80), i, server.peerId)));
    await peer.publishMany({ topic: topics.subtree, subtrees: 200, ratePerSecond: 1000 });
    await waitFor(
      async () => (await server.metric('teranode_p2p_gossip_messages_total', 'topic="subtree"', 'processed')) === 200,
      {
        what: 'all of the flood',
      },
    );
    expect(await server.metric('teranode_p2p_shadowed_total', 'rule="author_rate"')).toBeGreaterThan(100);
    expect(await bannedKeys(server)).toEqual([]);
    const [explained] = await admin(server, 'bans', 'explain', peer.peerId);
    expect(explained).toMatchObject({ scores: [], inForce: [] });
    expect(explained?.shadowScores).toEqual([{ role: 'author', score: expect.any(Number) }]);
    expect(explained?.withheld).toEqual([expect.stringContaining('ban for')]);
    expect(await peer.isConnectedTo(server.peerId)).toBe(true);
  } finally {
    await Promise.all([peer.stop(), server.stop()]);
  }
});
