// Reports of validation that are read while the blockchain service is away.
import { afterEach, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { writeTopic } from '../support/kafka-writer.ts';
import {
  allTopics,
  DATA_HUB,
  kafkaSettings,
  PSK,
  privateNetwork,
  protobufOf,
  subtreeFields,
  topicsOf,
} from '../support/network.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = topicsOf('regtest');
const running: { stop(): Promise<unknown> }[] = [];

function run<T extends { stop(): Promise<unknown> }>(part: T): T {
  running.push(part);
  return part;
}

afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

test('reports of validation during an outage still penalize their author', async () => {
  const broker = run(await KafkaBroker.start());
  const services = run(await ReferenceServiceProcess.start());
  const settings = {
    ...privateNetwork('regtest'),
    ...kafkaSettings(broker.address),
    asset_httpPublicAddress: DATA_HUB,
    blockchain_grpcAddress: services.address,
  };
  const server = run(await ServerProcess.start({ settings }));
  const peer = run(await GoPeer.start({ psk: PSK, topics: allTopics('regtest') }));
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).mesh[topics.subtree]?.includes(server.peerId), { what: 'the mesh' });
  const subtrees = Array.from({ length: 3 }, () => subtreeFields(peer.peerId));
  for (const subtree of subtrees) await peer.publish(topics.subtree, JSON.stringify(subtree));
  await waitFor(
    async () => (await server.metric('teranode_p2p_attribution_entries', 'kind="subtree"')) === subtrees.length,
    { what: 'the announcements' },
  );
  await services.kill();
  await writeTopic(
    broker.address,
    'invalid-subtrees',
    subtrees.map(({ Hash, DataHubURL }) => protobufOf({ 1: Hash, 2: DataHubURL, 3: 'invalid' })),
  );
  const reported = (outcome: string) =>
    server.metric('teranode_p2p_reports_total', 'kind="invalid_subtree"', `outcome="${outcome}"`);
  await waitFor(async () => (await reported('charged')) === subtrees.length, {
    timeoutMs: 60_000,
    what: 'the reports to be charged',
  });
  expect(await server.metric('teranode_p2p_kafka_consumed_total', 'outcome="failed"')).toBe(0);
});
