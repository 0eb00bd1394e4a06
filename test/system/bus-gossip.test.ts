// The main job on message-bus, from outside: two Go peers of today's network and our server, announcements end as
// records in a real Kafka broker.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busBlock, busSubtree, messageBus } from '../support/bus-network.ts';
import { busTopics, GoBus } from '../support/go-bus.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readRecords } from '../support/kafka-reader.ts';
import { writeTopic } from '../support/kafka-writer.ts';
import { kafkaSettings, mainnetHeaders, protobufOf, protobufStrings } from '../support/network.ts';
import { REPO } from '../support/repo.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const EACH = 1000;
const PER_SECOND = 250;
const topics = busTopics('regtest');

/** Nobody can dial it there: peers that hear of it stay connected to our server alone. */
const UNREACHABLE = ['/ip4/127.0.0.1/tcp/1'];

let broker: KafkaBroker;
let server: ServerProcess;
let a: GoBus;
let b: GoBus;

beforeAll(async () => {
  broker = await KafkaBroker.start();
  server = await ServerProcess.start({
    settings: {
      ...messageBus('regtest'),
      ...kafkaSettings(broker.address),
      clientName: 'ours',
      embedded_chain_mine_interval: '1s',
      // That a peer with a higher chain is met goes to block validation as a record of its own.
      p2p_force_sync_peer: '12D3KooWDsRPXvXXUJoK3MpZL5ENQsHarF8Rk6J96CFet6uJGxvu',
    },
  });
  const start = (name: string) =>
    GoBus.start({ name, network: 'regtest', bootstrapPeers: [server.address], announceAddrs: UNREACHABLE });
  [a, b] = await Promise.all([start('A'), start('B')]);
  for (const peer of [a, b])
    for (const topic of Object.values(topics))
      await waitFor(async () => (await peer.mesh()).mesh[topic]?.includes(server.peerId), { what: 'the mesh' });
});

afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop(), server?.stop()]);
  await broker?.stop();
});

describe('announcements of a Go peer of message-bus', () => {
  test('2,000 blocks and subtrees at 500 per second reach another peer through our server and Kafka with their key, none lost, none twice', async () => {
    const blocks = mainnetHeaders()
      .slice(0, EACH)
      .map((header, height) => busBlock(header, height, a.peerId, 'A'));
    const subtrees = Array.from({ length: EACH }, () => busSubtree(a.peerId, 'A'));
    const texts = (messages: readonly object[]) => messages.map((message) => JSON.stringify(message));
    await a.publishMany({ topic: topics.block, texts: texts(blocks), ratePerSecond: PER_SECOND });
    await a.publishMany({ topic: topics.subtree, texts: texts(subtrees), ratePerSecond: PER_SECOND });

    for (const [topic, kafkaTopic, sent] of [
      [topics.block, 'blocks', blocks],
      [topics.subtree, 'subtrees', subtrees],
    ] as const) {
      const heard = await waitFor(
        async () => {
          const fromA = (await b.received(topic)).filter(({ author }) => author === a.peerId);
          return fromA.length >= EACH && fromA;
        },
        { timeoutMs: 60_000, what: `the ${kafkaTopic} at B` },
      );
      expect(heard.map(({ text }) => text).sort()).toEqual(texts(sent).sort());
      expect(new Set(heard.map(({ name }) => name))).toEqual(new Set(['A']));
      const records = await readRecords(broker.address, kafkaTopic, (count) => count > EACH);
      const fields = records.map(({ key, value }) => ({ key, ...protobufStrings(value) }));
      expect(fields.toSorted(byKey)).toEqual(
        sent.map(({ Hash, DataHubURL }) => ({ key: Hash, 1: Hash, 2: DataHubURL, 3: a.peerId })).toSorted(byKey),
      );
    }
    expect(await b.isConnectedTo(a.peerId)).toBe(false);
  });

  test('forged ones end at our server: foreign PeerID, foreign header, no JSON in the envelope', async () => {
    const [first, second] = mainnetHeaders().slice(EACH);
    if (first === undefined || second === undefined) throw new Error('no headers');
    const honest = busSubtree(a.peerId, 'A');
    const forged = [
      [topics.block, busBlock(first, EACH, b.peerId)],
      [topics.block, { ...busBlock(first, EACH, a.peerId), Header: second.toString('hex') }],
      [topics.subtree, busSubtree(b.peerId)],
      [topics.subtree, 'no JSON'],
      [topics.subtree, { ...busSubtree(a.peerId), DataHubURL: 'javascript:alert(1)' }],
    ] as const;
    for (const [topic, message] of forged) await a.publish(topic, message);
    await a.publish(topics.subtree, honest);
    const isHonest = ({ text }: { text: string }) => text === JSON.stringify(honest);
    await waitFor(async () => (await b.received(topics.subtree)).some(isHonest), { what: 'the honest announcement' });
    const texts = new Set((await b.received()).map(({ text }) => text));
    for (const [, message] of forged)
      expect(texts).not.toContain(typeof message === 'string' ? message : JSON.stringify(message));
  });
});

/** Names of the fields as they stand in the text. */
const fieldsOf = (text: string) => Object.keys(JSON.parse(text));

function recordedFields(kind: string): string[] {
  const { messages } = JSON.parse(readFileSync(join(REPO, `test/data/today/${kind}.json`), 'utf8'));
  return fieldsOf(messages.at(-1).payload_text);
}

describe('announcements of our server', () => {
  test('blocks, subtrees, rejected transactions and the node status reach both peers with the recorded fields in their order', async () => {
    const txId = 'ab'.repeat(32);
    await writeTopic(broker.address, 'rejectedtx', [protobufOf({ 1: txId, 2: 'fee <too> low' })]);
    for (const peer of [a, b]) {
      for (const [kind, topic] of [
        ['block', topics.block],
        ['subtree', topics.subtree],
        ['rejected_tx', topics.rejectedTx],
      ] as const) {
        const ours = await waitFor(
          async () => (await peer.received(topic)).find(({ author }) => author === server.peerId),
          { timeoutMs: 60_000, what: `our ${kind}` },
        );
        expect(fieldsOf(ours.text)).toEqual(recordedFields(kind));
        expect(ours.name).toBe('ours');
        expect(JSON.parse(ours.text)).toMatchObject({ PeerID: server.peerId });
      }
      const status = await waitFor(
        async () => (await peer.received(topics.nodeStatus)).findLast(({ author }) => author === server.peerId),
        { what: 'our status' },
      );
      const order = ['peer_id', 'client_name', 'type', 'base_url', 'propagation_url', ...recordedFields('node_status')];
      const known = [...new Set(order)];
      const fields = fieldsOf(status.text);
      expect(fields.toSorted((x, y) => known.indexOf(x) - known.indexOf(y))).toEqual(fields);
      expect(JSON.parse(status.text)).toMatchObject({
        peer_id: server.peerId,
        client_name: 'ours',
        type: 'node_status',
      });
    }
  });
});

function byKey(x: { key: string }, y: { key: string }): number {
  return x.key < y.key ? -1 : 1;
}
