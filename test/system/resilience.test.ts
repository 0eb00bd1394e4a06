// Restarts and outages: the same peer id, the same peers, nothing lost that the bounded queue held.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readTopic } from '../support/kafka-reader.ts';
import {
  allTopics,
  kafkaSettings,
  PSK,
  privateNetwork,
  protobufStrings,
  subtreeFields,
  topicsOf,
} from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = topicsOf('regtest');
/** Records that go to Kafka in one request, at most. */
const MAX_BATCH_MESSAGES = 1000;
/**
 * Loaded into the server: on SIGUSR2 it collects its garbage and tells what is left, which the size of a process does
 * not show.
 */
const KEPT_ON_SIGNAL = `
  import { setFlagsFromString } from 'node:v8';
  import { runInNewContext } from 'node:vm';
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc');
  process.on('SIGUSR2', () => {
    gc();
    const { heapUsed, external } = process.memoryUsage();
    process.stdout.write(JSON.stringify({ level: 'info', event: 'kept', bytes: heapUsed + external }) + '\\n');
  });
`;

describe('restart', () => {
  test('keeps the peer ID and reconnects to its previous peers', async () => {
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

describe('broker down for 20 s at 500 announcements per second', () => {
  test('gossip continues, memory stays flat, and exactly the content of the bounded queue arrives afterwards', async () => {
    const bound = 6000;
    const broker = await KafkaBroker.start();
    const server = await ServerProcess.start({
      settings: {
        ...privateNetwork('regtest'),
        ...kafkaSettings(broker.address),
        kafka_queue_max_messages: String(bound),
        NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(KEPT_ON_SIGNAL)}`,
      },
    });
    const options = { psk: PSK, topics: allTopics('regtest'), allow: [server.peerId] };
    const publisher = await GoPeer.start(options);
    const listener = await GoPeer.start(options);
    const queued = () => server.metric('teranode_p2p_kafka_queue_length{topic="subtrees"}');
    const dropped = () => server.metric('teranode_p2p_kafka_dropped_total', 'topic="subtrees"');
    const sent = () => server.metric('teranode_p2p_kafka_sent_total', 'topic="subtrees"');
    const published: string[] = [];
    /**
     * Publishes at 500 a second, until the server has taken all of it and the other peer heard it through the server.
     */
    const publish = async (count: number) => {
      const subtrees = Array.from({ length: count }, () => subtreeFields(publisher.peerId));
      const file = join(temporaryFolder('subtrees'), 'lines');
      writeFileSync(file, subtrees.map((subtree) => JSON.stringify(subtree)).join('\n'));
      published.push(...subtrees.map(({ Hash }) => Hash));
      await publisher.publishMany({ topic: topics.subtree, file, ratePerSecond: 500 });
      await waitFor(async () => (await sent()) + (await queued()) + (await dropped()) >= published.length, {
        timeoutMs: 60_000,
        what: `${published.length} taken`,
      });
      await waitFor(async () => ((await listener.stats()).unique[topics.subtree] ?? 0) >= published.length, {
        what: `${published.length} at the other peer`,
      });
    };
    try {
      for (const peer of [publisher, listener]) {
        await peer.connect(server.address);
        await waitFor(async () => (await peer.mesh()).mesh[topics.subtree]?.includes(server.peerId), {
          what: 'the mesh',
        });
      }
      await publish(6000);
      await waitFor(async () => (await sent()) === published.length, { what: 'all in Kafka' });
      const keptBefore = await keptBytes(server);

      const beforeOutage = published.length;
      await broker.kill();
      await publish(bound);
      await waitFor(async () => (await queued()) === bound, { what: 'a full queue' });
      await publish(4000);
      await waitFor(async () => (await dropped()) === 4000, { what: 'the oldest to be dropped' });
      expect(await queued()).toBe(bound);
      const keptAtLast = await keptBytes(server);
      // 1 KiB for each message that went by, which is remembered for minutes with the broker there too, and 1 KiB for
      // each that waits: some 250 bytes and the objects around them. Nothing for what is tried in vain meanwhile.
      expect(keptAtLast - keptBefore).toBeLessThan((bound + 4000) * 1024 + bound * 1024);
      expect((await server.get('/health/ready')).status).toBe(503);

      await broker.up();
      await waitFor(async () => (await queued()) === 0, { timeoutMs: 40_000, what: 'the queue to empty' });
      await publish(1000);
      const lost = await dropped();
      expect(lost).toBe(4000);
      await waitFor(async () => (await sent()) === published.length - lost, { what: 'all in Kafka' });

      const records = await readTopic(broker.address, 'subtrees', (count) => count > published.length);
      const arrived = records.map((record) => protobufStrings(record)[1] ?? '');
      // The batch on its way when the broker went is tried until it is acknowledged; the oldest of those that waited
      // behind it are missing.
      const firstMissing = published.findIndex((hash, i) => arrived[i] !== hash);
      expect(firstMissing - beforeOutage).toBeGreaterThanOrEqual(0);
      expect(firstMissing - beforeOutage).toBeLessThanOrEqual(MAX_BATCH_MESSAGES);
      expect(arrived).toEqual([...published.slice(0, firstMissing), ...published.slice(firstMissing + lost)]);
    } finally {
      await Promise.all([publisher.stop(), listener.stop(), server.stop()]);
      await broker.stop();
    }
  });
});

/** Bytes that are left in the server when its garbage is gone. */
async function keptBytes(server: ServerProcess): Promise<number> {
  const answers = () => server.output.json.filter(({ event }) => event === 'kept');
  const already = answers().length;
  process.kill(server.pid, 'SIGUSR2');
  return Number((await waitFor(() => answers()[already], { what: 'the bytes that are kept' })).bytes);
}

function readCache(dataFolder: string): string {
  try {
    return readFileSync(join(dataFolder, 'teranode_peers.json'), 'utf8');
  } catch {
    return '';
  }
}
