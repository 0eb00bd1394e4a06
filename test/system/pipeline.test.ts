// The main job, from outside: two Go peers and our server in one private network, announcements end as records in a
// real Kafka broker.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
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

const COUNT = 5000;

describe.each(DRESSES)('announcements of a Go network reach Kafka, %s', (_dress, settings, dress) => {
  let broker: KafkaBroker;
  let server: ServerProcess;
  let publisher: GoPeer;
  let listener: GoPeer;
  const topics = topicsOf('mainnet');

  beforeAll(async () => {
    broker = await KafkaBroker.start();
    server = await ServerProcess.start({
      // No sync: that a peer with a higher chain is met goes to block validation as a record of its own.
      settings: {
        ...settings,
        ...kafkaSettings(broker.address),
        p2p_min_peers_for_sync: '1000',
        p2p_max_wait_for_min_peers: '1h',
      },
    });
    const options = { ...dress, topics: allTopics('mainnet'), allow: [server.peerId] };
    publisher = await GoPeer.start(options);
    listener = await GoPeer.start(options);
    for (const peer of [publisher, listener]) await peer.connect(server.address);
    for (const peer of [publisher, listener]) {
      await waitFor(async () => (await peer.mesh()).mesh[topics.block]?.includes(server.peerId), { what: 'the mesh' });
      await waitFor(async () => (await peer.mesh()).mesh[topics.subtree]?.includes(server.peerId), {
        what: 'the mesh',
      });
    }
  });

  afterAll(async () => {
    await Promise.all([publisher?.stop(), listener?.stop(), server?.stop()]);
    await broker?.stop();
  });

  test('5,000 real headers and 5,000 subtrees at 1,000 per second become 10,000 equal records, none lost, none twice', async () => {
    const folder = temporaryFolder('messages');
    const blocks = mainnetHeaders().map((header, height) => blockFields(header, height, publisher.peerId));
    const subtrees = Array.from({ length: COUNT }, () => subtreeFields(publisher.peerId));
    writeFileSync(join(folder, 'blocks'), blocks.map((block) => JSON.stringify(block)).join('\n'));
    writeFileSync(join(folder, 'subtrees'), subtrees.map((subtree) => JSON.stringify(subtree)).join('\n'));
    expect(blocks).toHaveLength(COUNT);

    await publisher.publishMany({ topic: topics.block, file: join(folder, 'blocks'), ratePerSecond: 500 });
    await publisher.publishMany({ topic: topics.subtree, file: join(folder, 'subtrees'), ratePerSecond: 500 });
    await waitFor(async () => (await publisher.publishStatus()).published === 2 * COUNT, {
      timeoutMs: 60_000,
      what: 'publishing',
    });

    const blockRecords = await readTopic(broker.address, 'blocks', (count) => count > COUNT);
    const subtreeRecords = await readTopic(broker.address, 'subtrees', (count) => count > COUNT);
    const expectedBlocks = blocks.map((block) => ({ 1: block.Hash, 2: block.DataHubURL, 3: publisher.peerId }));
    const expectedSubtrees = subtrees.map((subtree) => ({
      1: subtree.Hash,
      2: subtree.DataHubURL,
      3: publisher.peerId,
    }));
    expect(sorted(blockRecords.map(protobufStrings))).toEqual(sorted(expectedBlocks));
    expect(sorted(subtreeRecords.map(protobufStrings))).toEqual(sorted(expectedSubtrees));

    // The other Go peer heard all of it through us.
    await waitFor(async () => (await listener.stats()).unique[topics.block] === COUNT, {
      what: 'blocks at the other peer',
    });
    await waitFor(async () => (await listener.stats()).unique[topics.subtree] === COUNT, {
      what: 'subtrees at the other peer',
    });
  });
});

describe('blocks of our own chain', () => {
  test('mined in regtest arrive at both Go peers with the right header', async () => {
    const topics = topicsOf('regtest');
    const server = await ServerProcess.start({
      settings: { ...privateNetwork('regtest'), embedded_chain_mine_interval: '300ms' },
    });
    const peers = await Promise.all(
      [1, 2].map(() => GoPeer.start({ psk: PSK, topics: allTopics('regtest'), allow: [server.peerId] })),
    );
    try {
      for (const peer of peers) await peer.connect(server.address);
      for (const peer of peers) {
        const seen = await waitFor(
          async () => {
            const messages = await peer.received(topics.block);
            return messages.length >= 5 && messages;
          },
          { timeoutMs: 20_000, what: 'five mined blocks' },
        );
        const blocks = seen.map(({ data }) => JSON.parse(data.toString()));
        for (const [i, block] of blocks.entries()) {
          const header = Buffer.from(block.Header, 'hex');
          expect(Object.keys(block)).toEqual(['Hash', 'Height', 'DataHubURL', 'PeerID', 'Header']);
          expect(headerHash(header)).toBe(block.Hash);
          expect(block.PeerID).toBe(server.peerId);
          expect(block.Height).toBe(blocks[0].Height + i);
          if (i > 0) expect(Buffer.from(header.subarray(4, 36)).reverse().toString('hex')).toBe(blocks[i - 1].Hash);
        }
        expect(seen.every(({ author }) => author === server.peerId)).toBe(true);
        const mining = JSON.parse((await peer.received(topics.miningOn))[0]?.data.toString() ?? '{}');
        const announced = blocks.find((block) => block.Hash === mining.Hash) ?? blocks[0];
        expect(mining).toMatchObject({ PeerID: server.peerId, TxCount: 1, Miner: '/teranode/' });
        expect(announced.Hash).toMatch(/^[0-9a-f]{64}$/);
        expect((await peer.received(topics.subtree)).length).toBeGreaterThan(0);
      }
    } finally {
      await Promise.all([...peers.map((peer) => peer.stop()), server.stop()]);
    }
  });
});

function sorted(records: readonly Record<number, string>[]): Record<number, string>[] {
  return [...records].sort((a, b) => (a[1] ?? '').localeCompare(b[1] ?? ''));
}
