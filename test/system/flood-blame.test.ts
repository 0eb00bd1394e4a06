// A flood bans its author and nobody else, and messages of an honest author pass meanwhile.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { admin, bannedKeys } from '../support/admin.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readTopic } from '../support/kafka-reader.ts';
import { allTopics, kafkaSettings, PSK, privateNetwork, protobufStrings, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = topicsOf('mainnet');
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

test('every message of an honest author (100 per second) reaches Kafka beside a flood of 5,000 per second', async () => {
  const server = await ServerProcess.start({
    settings: {
      ...privateNetwork('mainnet'),
      ...kafkaSettings(broker.address),
      kafka_subtreesConfig: `kafka://${broker.address}/flooded?partitions=1&replication=1`,
      logLevel: 'INFO',
    },
  });
  const flooder = await GoPeer.start({ ...GO, allow: [server.peerId] });
  const honest = await GoPeer.start({ ...GO, allow: [server.peerId] });
  try {
    for (const peer of [flooder, honest]) {
      await peer.connect(server.address);
      await waitFor(() => inMesh(peer, server.peerId), { what: 'the mesh' });
    }
    const count = 1000;
    await honest.publishMany({ topic: topics.subtree, subtrees: count, ratePerSecond: 100 });
    const startedMs = performance.now();
    await waitFor(
      async () => {
        // A busy machine lets so little of it through that a rate is broken late, or not by one flood.
        if ((await flooder.publishStatus()).running === 0)
          await flooder.publishMany({ topic: topics.subtree, subtrees: 50_000, ratePerSecond: 5000 });
        return (await bannedKeys(server)).includes(flooder.peerId);
      },
      { timeoutMs: 120_000, what: 'the ban of the flooder' },
    );
    const floodedSeconds = (performance.now() - startedMs) / 1000;
    await waitFor(async () => (await honest.publishStatus()).published === count, {
      timeoutMs: 60_000,
      what: 'the honest ones',
    });
    const authors = (await readTopic(broker.address, 'flooded', () => false)).map((value) => protobufStrings(value)[3]);
    expect(authors.filter((author) => author === honest.peerId)).toHaveLength(count);
    // What an author's rate lets through: a burst of 10,000, 500 a second.
    expect(authors.length - count).toBeLessThan(10_000 + 500 * (floodedSeconds + 2));
    expect(await honest.isConnectedTo(server.peerId)).toBe(true);
    expect((await admin(server, 'bans', 'explain', honest.peerId))[0]).toMatchObject({ scores: [], inForce: [] });
    const [explained] = await admin(server, 'bans', 'explain', flooder.peerId);
    expect(explained?.offences).toContainEqual(expect.objectContaining({ reason: 'spam', rule: 'author_rate' }));
    expect(await flooder.isConnectedTo(server.peerId)).toBe(false);
  } finally {
    await Promise.all([flooder.stop(), honest.stop(), server.stop()]);
  }
});
