// Forged announcements arrive nowhere, and cost the honest neighbour that passed them on nothing.
import { base58btc } from 'multiformats/bases/base58';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { admin } from '../support/admin.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readTopic } from '../support/kafka-reader.ts';
import {
  allTopics,
  blockFields,
  DRESSES,
  headerHash,
  kafkaSettings,
  mainnetHeaders,
  PSK,
  privateNetwork,
  protobufStrings,
  subtreeFields,
  topicsOf,
} from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = topicsOf('mainnet');
const headers = mainnetHeaders();

function headerAt(index: number): Buffer {
  const header = headers[index];
  if (header === undefined) throw new Error(`no header ${index}`);
  return header;
}

/** A header whose nonce was changed, so that it meets no target, with the hash that belongs to it. */
function withoutWork(index: number): Buffer {
  const header = Buffer.from(headerAt(index));
  header.writeUInt32LE((header.readUInt32LE(76) + 1) >>> 0, 76);
  return header;
}

type Forgery = { topic: string; data: string | Buffer };

/** The `i`th forgery; the kinds take turns. */
function forgery(i: number, forger: string, victim: string): Forgery {
  const index = 1 + i;
  const block = blockFields(headerAt(index), index, forger);
  switch (i % 7) {
    case 0:
      return { topic: topics.block, data: JSON.stringify({ ...block, PeerID: victim }) };
    case 1:
      return { topic: topics.block, data: JSON.stringify({ ...block, Hash: headerHash(headerAt(index + 1)) }) };
    case 2:
      return { topic: topics.block, data: JSON.stringify(blockFields(withoutWork(index), index, forger)) };
    case 3:
      return { topic: topics.block, data: `not JSON ${i}` };
    case 4:
      return { topic: topics.subtree, data: JSON.stringify({ ...subtreeFields(forger), PeerID: victim }) };
    case 5:
      return { topic: topics.subtree, data: JSON.stringify({ ...subtreeFields(forger), Hash: `${i}abc` }) };
    default:
      return { topic: topics.subtree, data: Buffer.from([0xff, 0xfe, i & 0xff, i >> 8]) };
  }
}

describe.each(DRESSES)('forged announcements, %s', (_dress, settings, dress) => {
  let broker: KafkaBroker;
  let server: ServerProcess;
  let forger: GoPeer;
  let relay: GoPeer;
  let listener: GoPeer;

  // forger - relay - server - listener: nothing reaches the listener but through us.
  beforeAll(async () => {
    broker = await KafkaBroker.start();
    server = await ServerProcess.start({
      // The forger is heard to the end here; that it is banned is another test.
      settings: { ...settings, ...kafkaSettings(broker.address), p2p_ban_threshold: '1000000' },
    });
    const common = { ...dress, topics: allTopics('mainnet') };
    relay = await GoPeer.start(common);
    forger = await GoPeer.start({ ...common, allow: [relay.peerId] });
    listener = await GoPeer.start({ ...common, allow: [server.peerId] });
    await forger.connect(relay.addresses[0] ?? '');
    await relay.connect(server.address);
    await listener.connect(server.address);
    const inMesh = async (peer: GoPeer, id: string) => {
      const { mesh } = await peer.mesh();
      return mesh[topics.block]?.includes(id) && mesh[topics.subtree]?.includes(id);
    };
    await waitFor(() => inMesh(relay, server.peerId), { what: 'the mesh of the relay' });
    await waitFor(() => inMesh(forger, relay.peerId), { what: 'the mesh of the forger' });
    await waitFor(() => inMesh(listener, server.peerId), { what: 'the mesh of the listener' });
  });

  afterAll(async () => {
    await Promise.all([forger?.stop(), relay?.stop(), listener?.stop(), server?.stop()]);
    await broker?.stop();
  });

  test('1,000 of them through an honest neighbour go no further, and the neighbour keeps its connection and its place in the mesh', async () => {
    const before = (await relay.connections()).filter(({ peerId }) => peerId === server.peerId);
    const seen = await server.metric('teranode_p2p_gossip_messages_total', 'relay=');
    for (let i = 0; i < 980; i += 1) {
      const { topic, data } = forgery(i, forger.peerId, relay.peerId);
      await forger.publish(topic, data);
    }
    for (let i = 0; i < 20; i += 1) await forger.publish(topics.block, Buffer.alloc(900_000, i + 1));
    await waitFor(async () => (await server.metric('teranode_p2p_gossip_messages_total', 'relay=')) >= seen + 1000, {
      timeoutMs: 60_000,
      what: 'all forgeries at the server',
    });
    expect(await server.metric('teranode_p2p_gossip_messages_total', 'reason="processed"')).toBe(0);

    const honest = subtreeFields(relay.peerId);
    await relay.publish(topics.subtree, JSON.stringify(honest));
    await waitFor(async () => (await listener.received(topics.subtree)).length > 0, { what: 'the honest subtree' });
    expect((await listener.received(topics.subtree)).map(({ data }) => JSON.parse(data.toString()))).toEqual([honest]);
    expect(await listener.received(topics.block)).toEqual([]);
    const records = await readTopic(broker.address, 'subtrees', (count) => count > 1, 3000);
    expect(records.map(protobufStrings)).toEqual([{ 1: honest.Hash, 2: honest.DataHubURL, 3: relay.peerId }]);
    expect(await readTopic(broker.address, 'blocks', (count) => count > 0, 3000)).toEqual([]);

    const after = (await relay.connections()).filter(({ peerId }) => peerId === server.peerId);
    expect(after.map(({ address }) => address)).toEqual(before.map(({ address }) => address));
    const { mesh, counts } = await relay.mesh();
    expect(mesh[topics.block]).toContain(server.peerId);
    expect(mesh[topics.subtree]).toContain(server.peerId);
    expect(counts.prune ?? 0).toBe(0);
  });

  test('peer-discovery bytes are forwarded at a bounded rate and not processed', async () => {
    await listener.clearReceived();
    const key = base58btc.decode(`z${forger.peerId}`).subarray(2);
    const address = Buffer.from('047f0000010626fd', 'hex');
    const bytes = Buffer.concat([Buffer.from([0x0a, key.length]), key, Buffer.from([0x12, address.length]), address]);
    for (let i = 0; i < 3; i += 1) await forger.publish(topics.subtree, bytes);
    await waitFor(
      async () => (await server.metric('teranode_p2p_gossip_messages_total', 'reason="peer_discovery_repeated"')) === 2,
      {
        what: 'the repeated bytes',
      },
    );
    await waitFor(async () => (await listener.received(topics.subtree)).length > 0, { what: 'the first bytes' });
    expect((await listener.received(topics.subtree)).map(({ data }) => data.toString('hex'))).toEqual([
      bytes.toString('hex'),
    ]);
  });

  test('the same block is forwarded and processed from another author, but not from the same author', async () => {
    await listener.clearReceived();
    const header = headerAt(4000);
    const first = JSON.stringify(blockFields(header, 4000, forger.peerId));
    const second = JSON.stringify(blockFields(header, 4000, relay.peerId));
    await forger.publish(topics.block, first);
    await relay.publish(topics.block, second);
    await forger.publish(topics.block, first);
    await relay.publish(topics.block, second);
    await waitFor(async () => (await server.metric('teranode_p2p_gossip_messages_total', 'reason="duplicate"')) === 2, {
      what: 'duplicates',
    });
    const records = await readTopic(broker.address, 'blocks', (count) => count > 2, 3000);
    expect(
      records
        .map(protobufStrings)
        .map((record) => record[3])
        .sort(),
    ).toEqual([forger.peerId, relay.peerId].sort());
    expect((await listener.received(topics.block)).map(({ author }) => author).sort()).toEqual(
      [forger.peerId, relay.peerId].sort(),
    );
  });

  test('2 MB directly from a forger end its stream at most, and its next connection works', async () => {
    const loud = await GoPeer.start({
      ...dress,
      topics: allTopics('mainnet'),
      allow: [server.peerId],
      maxMessageSize: 8 << 20,
    });
    try {
      await loud.connect(server.address);
      await waitFor(async () => (await loud.mesh()).mesh[topics.subtree]?.includes(server.peerId), {
        what: 'the mesh',
      });
      await loud.publish(topics.subtree, Buffer.alloc(2 << 20, 0x61));
      await loud.disconnect(server.peerId);
      await waitFor(async () => !(await loud.isConnectedTo(server.peerId)), { what: 'the end of the connection' });
      await waitFor(async () => (await loud.connect(server.address)) !== undefined, { what: 'the next connection' });
      const honest = subtreeFields(loud.peerId);
      await listener.clearReceived();
      await waitFor(
        async () => {
          await loud.publish(topics.subtree, JSON.stringify(honest));
          return (await listener.received(topics.subtree)).some(({ author }) => author === loud.peerId);
        },
        { timeoutMs: 20_000, what: 'its next announcement' },
      );
      expect((await listener.received(topics.subtree)).filter(({ data }) => data.length > 10_000)).toEqual([]);
    } finally {
      await loud.stop();
    }
  });
});

describe('an author that tries to make its neighbours look bad', () => {
  let server: ServerProcess;
  let relay: GoPeer;

  beforeAll(async () => {
    server = await ServerProcess.start({
      settings: { ...privateNetwork('mainnet'), logLevel: 'INFO', p2p_ban_threshold: '1000000' },
    });
    relay = await GoPeer.start({
      psk: PSK,
      topics: allTopics('mainnet'),
    });
    await relay.connect(server.address);
    await waitFor(async () => (await relay.mesh()).mesh[topics.subtree]?.includes(server.peerId), { what: 'the mesh' });
  });

  afterAll(async () => {
    await Promise.all([relay?.stop(), server?.stop()]);
  });

  const broken = (kind: string) => server.metric('teranode_p2p_broken_frames_total', `kind="${kind}"`);

  // Go passes each of them on, and none of them is read here.
  test.each([
    ['fields that nobody knows, signed over', 'unknown_field', 'signature', 3],
    ['such a field with a tag longer than need be', 'wide_tag', 'undecodable_inside', 3],
    ['secp256k1 signatures with a high S', 'high_s', 'signature', 3],
    ['so many in one frame that the relay names too many ids to us', 'many_in_one', 'undecodable_inside', 700],
  ] as const)('%s: the honest neighbour keeps score 0 and its connection', async (_what, kind, counted, count) => {
    const before = await broken(counted);
    const received = async () => (await relay.counts())[topics.subtree] ?? 0;
    const receivedBefore = await received();
    await relay.publishRaw({ address: relay.addresses[0] ?? '', topic: topics.subtree, kind, count });
    await waitFor(async () => (await received()) >= receivedBefore + count, {
      what: 'all of them at the relay, which takes them for valid',
    });
    await waitFor(async () => (await broken(counted)) > before, { what: 'the first one at the server' });

    const honest = JSON.stringify(subtreeFields(relay.peerId));
    const processed = () => server.metric('teranode_p2p_gossip_messages_total', 'reason="processed"');
    const passed = await processed();
    await relay.publish(topics.subtree, honest);
    await waitFor(async () => (await processed()) > passed, { what: 'an honest announcement behind them' });
    const [explained] = await admin(server, 'bans', 'explain', relay.peerId);
    expect(explained).toMatchObject({ offences: [], inForce: [] });
    expect(await relay.isConnectedTo(server.peerId)).toBe(true);
  });

  test('1,000 malformed messages do not fill the log, and none of their content is in it', async () => {
    const seen = () => server.metric('teranode_p2p_gossip_messages_total', 'relay=');
    const before = await seen();
    const lines = server.output.json.length;
    for (let i = 0; i < 1000; i += 1) {
      const text = `unmistakable-${i}`;
      const garbage = [
        text,
        `{"Hash":"${text}`,
        `{"${text}":["${text}"]}`,
        JSON.stringify({ ...subtreeFields(relay.peerId), Hash: text }),
        JSON.stringify({ ...subtreeFields(text), DataHubURL: text }),
      ];
      await relay.publish(i % 2 === 0 ? topics.subtree : topics.nodeStatus, garbage[i % garbage.length] ?? '');
    }
    await waitFor(async () => (await seen()) >= before + 1000, { timeoutMs: 60_000, what: 'all of them' });
    expect(server.output.json.slice(lines).length).toBeLessThan(10);
    expect(JSON.stringify(server.output)).not.toContain('unmistakable');
  });
});
