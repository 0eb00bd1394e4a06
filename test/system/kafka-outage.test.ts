// A broker that stops or freezes, seen by an operator: a log line, a counter and an alert within ten seconds, also while
// nothing is sent, and a line when it is back.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { allTopics, kafkaSettings, PSK, privateNetwork, subtreeFields, topicsOf } from '../support/network.ts';
import { Prometheus } from '../support/prometheus.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const SUBTREE = topicsOf('regtest').subtree;
const KAFKA_TOPICS = ['blocks', 'invalid-blocks', 'invalid-subtrees', 'rejectedtx', 'subtrees'];
const NOTICED_MS = 10_000;

let broker: KafkaBroker;
let server: ServerProcess;
let prometheus: Prometheus;
let peer: GoPeer;

beforeAll(async () => {
  broker = await KafkaBroker.start();
  server = await ServerProcess.start({ settings: { ...privateNetwork('regtest'), ...kafkaSettings(broker.address) } });
  prometheus = await Prometheus.start(server.ready.httpAddress);
  peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).mesh[SUBTREE]?.includes(server.peerId), { what: 'the mesh' });
  await peer.publish(SUBTREE, JSON.stringify(subtreeFields(peer.peerId)));
  await waitFor(async () => (await sent()) === 1, { timeoutMs: 30_000, what: 'the first record' });
});

afterAll(async () => {
  await Promise.all([prometheus?.stop(), peer?.stop(), server?.stop()]);
  await broker?.stop();
});

const sent = () => server.metric('teranode_p2p_kafka_sent_total', 'topic="subtrees"');

async function alert(): Promise<string | undefined> {
  return (await prometheus.rules()).find(({ name }) => name === 'TeranodeP2PKafkaAway')?.state;
}

/** When each topic's line came last, in Unix ms. */
function lines(event: string): ReadonlyMap<string, number> {
  const all = server.output.json.filter((line) => line.event === event);
  return new Map(all.map(({ topic, time }) => [String(topic), Number(time)]));
}

/** Waits for a line of every topic since `sinceMs`; resolves with how long the last one took. */
async function tookMs(event: string, sinceMs: number): Promise<number> {
  const since = () => [...lines(event)].filter(([, atMs]) => atMs >= sinceMs);
  await waitFor(() => since().length === KAFKA_TOPICS.length, { timeoutMs: 60_000, what: `"${event}" of every topic` });
  return Math.max(...since().map(([, atMs]) => atMs)) - sinceMs;
}

test.each([
  ['is killed, while nothing is sent', () => broker.kill(), () => broker.up(), 0],
  ['freezes, while records wait', async () => broker.freeze(), async () => broker.thaw(), 3],
])('a broker that %s is noticed within ten seconds', async (_how, end, restore, records) => {
  const errors = async (topic: string) => await server.metric('teranode_p2p_kafka_errors_total', `topic="${topic}"`);
  const before = await Promise.all(KAFKA_TOPICS.map(errors));
  const sentBefore = await sent();
  const endedMs = Date.now();
  await end();
  for (let i = 0; i < records; i += 1) await peer.publish(SUBTREE, JSON.stringify(subtreeFields(peer.peerId)));
  expect(await tookMs('Kafka unavailable', endedMs)).toBeLessThan(NOTICED_MS);
  const after = await Promise.all(KAFKA_TOPICS.map(errors));
  for (const [i, topic] of KAFKA_TOPICS.entries())
    expect({ topic, counted: (after[i] ?? 0) > (before[i] ?? 0) }).toEqual({ topic, counted: true });
  await waitFor(async () => (await alert()) === 'firing', { what: 'the alert' });

  const restoredMs = Date.now();
  await restore();
  await tookMs('Kafka available again', restoredMs);
  await waitFor(async () => (await alert()) === 'inactive', { what: 'the end of the alert' });
  await waitFor(async () => (await sent()) === sentBefore + records, { timeoutMs: 60_000, what: 'the records' });
});
