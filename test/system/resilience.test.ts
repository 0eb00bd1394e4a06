// Restarts and outages: the same peer id, the same peers, nothing lost that the bounded queue held.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readTopic } from '../support/kafka-reader.ts';
import { allTopics, kafkaSettings, PSK, privateNetwork, protobufStrings, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = topicsOf('regtest');

describe('restart', () => {
  test('keeps the peer id and reconnects to the peers of before', async () => {
    const dataFolder = temporaryFolder('restart');
    const settings = privateNetwork('regtest');
    const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
    const first = await ServerProcess.start({ settings, dataFolder });
    await peer.connect(first.address);
    await waitFor(async () => (await first.metric('teranode_p2p_connected_peers')) === 1, { what: 'the connection' });
    await waitFor(() => readCache(dataFolder).includes(peer.peerId), { timeoutMs: 15_000, what: 'the peer cache' });
    await first.stop();
    await waitFor(async () => !(await peer.isConnectedTo(first.peerId)), { what: 'the end of the connection' });
    const second = await ServerProcess.start({ settings, dataFolder });
    try {
      expect(second.peerId).toBe(first.peerId);
      await waitFor(() => peer.isConnectedTo(second.peerId), { what: 'the cached peer' });
      expect((await peer.connections())[0]?.direction).toBe('inbound');
    } finally {
      await Promise.all([peer.stop(), second.stop()]);
    }
  });
});

describe('broker away for 20 s at 500 announcements a second', () => {
  test('gossip goes on, memory stays flat, and what the bounded queue held arrives after', async () => {
    const bound = 6000;
    const broker = await KafkaBroker.start();
    const server = await ServerProcess.start({
      settings: {
        ...privateNetwork('regtest'),
        ...kafkaSettings(broker.address),
        kafka_queue_max_messages: String(bound),
      },
    });
    const options = { psk: PSK, topics: allTopics('regtest'), allow: [server.peerId] };
    const publisher = await GoPeer.start(options);
    const listener = await GoPeer.start(options);
    try {
      for (const peer of [publisher, listener]) {
        await peer.connect(server.address);
        await waitFor(async () => (await peer.mesh()).mesh[topics.subtree]?.includes(server.peerId), {
          what: 'the mesh',
        });
      }
      const total = 15_000;
      const published = async (count: number) =>
        waitFor(async () => (await publisher.publishStatus()).published >= count, {
          timeoutMs: 60_000,
          what: `${count} published`,
        });
      await publisher.publishMany({ topic: topics.subtree, subtrees: total, ratePerSecond: 500 });
      await published(2000);
      const before = server.memoryBytes();
      await broker.kill();
      const atKill = (await publisher.publishStatus()).published;
      await published(12_000);
      await waitFor(async () => ((await listener.stats()).unique[topics.subtree] ?? 0) >= 11_900, {
        what: 'gossip during the outage',
      });
      expect(server.memoryBytes() - before).toBeLessThan(150 * 1024 * 1024);
      expect((await server.get('/health/ready')).status).toBe(503);
      await broker.up();
      const inOutage = (await publisher.publishStatus()).published - atKill;
      await published(total);
      await waitFor(async () => (await server.metric('teranode_p2p_kafka_queue_length{topic="subtrees"}')) === 0, {
        timeoutMs: 40_000,
        what: 'the queue to empty',
      });
      await waitFor(async () => (await listener.stats()).unique[topics.subtree] === total, {
        what: 'all at the listener',
      });
      const dropped = await server.metric('teranode_p2p_kafka_dropped_total', 'topic="subtrees"');
      expect(dropped).toBeGreaterThan(0);
      // Only what the queue could not hold, give or take what came while the connection was made again.
      expect(dropped).toBeLessThan(inOutage - bound + 2500);
      const records = await readTopic(broker.address, 'subtrees', (count) => count > total);
      const hashes = records.map((record) => protobufStrings(record)[1]);
      expect(hashes).toHaveLength(total - dropped);
      expect(new Set(hashes).size).toBe(hashes.length);
    } finally {
      await Promise.all([publisher.stop(), listener.stop(), server.stop()]);
      await broker.stop();
    }
  });
});

function readCache(dataFolder: string): string {
  try {
    return readFileSync(join(dataFolder, 'teranode_peers.json'), 'utf8');
  } catch {
    return '';
  }
}
