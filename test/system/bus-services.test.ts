// A node as the quickstart of Teranode starts it, with what stands around it on message-bus: Kafka, the feed for
// programs, the registry of peers.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { admin } from '../support/admin.ts';
import { busBlock, busSubtree, messageBus } from '../support/bus-network.ts';
import { busTopics, GoBus } from '../support/go-bus.ts';
import { GoGrpcClient, goGrpcBinary } from '../support/go-grpc.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readRecords } from '../support/kafka-reader.ts';
import { writeTopic } from '../support/kafka-writer.ts';
import { DATA_HUB, kafkaSettings, mainnetHeaders, protobufOf, protobufStrings } from '../support/network.ts';
import { REPO } from '../support/repo.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';
import { cutAll, RawWebSocket } from '../support/websocket.ts';

const topics = busTopics('testnet');
const quickstart = Object.fromEntries(
  [...readFileSync(join(REPO, 'test/data/settings/quickstart-2026-04.env'), 'utf8').matchAll(/^(\w+)=(.*)$/gm)].map(
    ([, key = '', value = '']) => [key, value],
  ),
);

let broker: KafkaBroker;
let server: ServerProcess;
let bus: GoBus;
let client: GoGrpcClient;

beforeAll(async () => {
  goGrpcBinary();
  broker = await KafkaBroker.start();
  server = await ServerProcess.start({
    settings: {
      ...messageBus('mainnet'),
      ...quickstart,
      ...kafkaSettings(broker.address),
      p2p_wire: '',
      grpc_admin_api_key: 'testkey',
      p2p_bootstrap_peer: 'misspelled',
    },
  });
  bus = await GoBus.start({ name: 'A-1', network: 'testnet', bootstrapPeers: [server.address] });
  for (const topic of [topics.block, topics.subtree, topics.nodeStatus])
    await waitFor(async () => (await bus.mesh()).mesh[topic]?.includes(server.peerId), { what: 'the mesh' });
  client = new GoGrpcClient({ address: server.ready.grpcAddress });
});

afterAll(async () => {
  cutAll();
  await Promise.all([client?.stop(), bus?.stop(), server?.stop()]);
  await broker?.stop();
});

describe('a node with the environment of the quickstart', () => {
  const line = (event: string) => server.output.json.find((each) => each.event === event);

  test('speaks message-bus, and says why', () => {
    expect(line('wire chosen')).toMatchObject({
      wires: ['message-bus'],
      reason: expect.stringMatching(/^p2p_wire is unset/),
    });
  });

  test('says in one line which settings have no effect, and what an unknown one may mean', () => {
    const { settings } = line('settings without effect') as { settings: { key: string; reason: string }[] };
    expect(settings.map(({ key }) => key)).toContain('p2p_health_check_enabled');
    expect(settings.map(({ key }) => key)).toContain('p2p_shared_key');
    for (const { reason } of settings) expect(reason).not.toBe('');
    expect(line('unknown setting')).toMatchObject({ key: 'p2p_bootstrap_peer', nearest: 'p2p_bootstrap_peers' });
  });

  test('is closed to the placeholder of the admin key, and open to the key in its folder', async () => {
    expect(server.output.json).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        event: expect.stringContaining('grpc_admin_api_key is a well-known placeholder'),
      }),
    );
    const guest = new GoGrpcClient({ address: server.ready.grpcAddress, key: 'testkey' });
    expect(await guest.call('p2p_api.PeerService/ClearBanned')).toMatchObject({ code: 'Unauthenticated' });
    await guest.stop();
    expect(await admin(server, 'bans', 'list')).toEqual([]);
  });
});

/** The frames of `/p2p-ws` besides our own status. */
async function framesFrom(feed: RawWebSocket, count: number): Promise<string[]> {
  const foreign = () => feed.texts().filter((text) => !text.includes(`"peer_id":"${server.peerId}"`));
  await waitFor(() => foreign().length >= count, { what: `${count} frames` });
  return foreign();
}

test('announcements are frames with the fields and order of message-bus, and records whose key is the hash', async () => {
  const feed = await RawWebSocket.open(server.ready.httpAddress);
  await feed.received(1);
  const block = busBlock(mainnetHeaders()[0] ?? Buffer.alloc(80), 1, bus.peerId, 'A-1');
  const subtree = busSubtree(bus.peerId, 'A-1');
  const status = {
    peer_id: bus.peerId,
    client_name: 'A-1',
    type: 'node_status',
    base_url: DATA_HUB,
    propagation_url: `${DATA_HUB}/p`,
    version: 'v0.14.4',
    commit_hash: 'abcdef0',
    best_block_hash: block.Hash,
    best_height: 1,
    tx_count: 1234,
    subtree_count: 5,
    fsm_state: 'RUNNING',
    start_time: 1_795_949_362,
    uptime: 7.5,
    miner_name: '/taal.com/',
    listen_mode: 'full',
    chain_work: '02',
    min_mining_tx_fee: 1e-8,
    connected_peers_count: 1,
    storage: 'full',
  };
  await bus.publish(topics.block, block);
  await framesFrom(feed, 1);
  await bus.publish(topics.subtree, subtree);
  await framesFrom(feed, 2);
  await bus.publish(topics.nodeStatus, status);
  const frames = (await framesFrom(feed, 3)).map((text) =>
    text.replace(/"timestamp":"[-\d]{10}T[:\d]{8}Z"/, '"timestamp":0'),
  );
  const origin = `"base_url":"${DATA_HUB}","peer_id":"${bus.peerId}"`;
  const name = '"client_name":"A-1"';
  expect(frames).toEqual([
    `{"timestamp":0,"type":"block","hash":"${block.Hash}",${origin},"height":1,"best_height":0,${name}}`,
    `{"timestamp":0,"type":"subtree","hash":"${subtree.Hash}",${origin},"best_height":0,${name}}`,
    `{"timestamp":0,"type":"node_status","base_url":"${DATA_HUB}","propagation_url":"${DATA_HUB}/p","peer_id":"${bus.peerId}","tx_count":1234,"version":"v0.14.4","commit_hash":"abcdef0","best_block_hash":"${block.Hash}","best_height":1,"subtree_count":5,"fsm_state":"RUNNING","start_time":1795949362,"uptime":7.5,${name},"miner_name":"/taal.com/","listen_mode":"full","chain_work":"02","min_mining_tx_fee":1e-8,"connected_peers_count":1,"storage":"full"}`,
  ]);
  for (const [topic, { Hash }] of [
    ['blocks', block],
    ['subtrees', subtree],
  ] as const) {
    const [record] = await readRecords(broker.address, topic, (count) => count >= 1);
    expect(record?.key).toBe(Hash);
    expect(protobufStrings(record?.value ?? Buffer.alloc(0))).toEqual({ 1: Hash, 2: DATA_HUB, 3: bus.peerId });
  }
});

test('an invalid block costs the peer that its report names points once, an invalid subtree its reputation', async () => {
  const entry = async () => (await client.call('p2p_api.PeerService/GetPeer', { peerId: bus.peerId })).response?.peer;
  const reported = (kind: string, outcome: string) =>
    server.metric('teranode_p2p_reports_total', `kind="${kind}"`, `outcome="${outcome}"`);
  expect(await entry()).toMatchObject({ reputationScore: 50, interactionFailures: '0', banScore: 0 });
  const hash = 'ab'.repeat(32);
  const invalidBlock = protobufOf({ 1: hash, 2: 'invalid', 3: bus.peerId, 4: DATA_HUB });
  await writeTopic(broker.address, 'invalid-blocks', [invalidBlock, invalidBlock]);
  await waitFor(async () => (await reported('invalid_block', 'repeated')) === 1, {
    timeoutMs: 30_000,
    what: 'both reports of the block',
  });
  expect(await reported('invalid_block', 'charged')).toBe(1);
  await writeTopic(broker.address, 'invalid-subtrees', [
    protobufOf({ 1: hash, 2: DATA_HUB, 3: 'invalid', 4: bus.peerId }),
  ]);
  await waitFor(async () => (await reported('invalid_subtree', 'failure_recorded')) === 1, {
    timeoutMs: 30_000,
    what: 'the report of the subtree',
  });
  expect((await admin(server, 'bans', 'explain', bus.peerId))[0]).toMatchObject({
    scores: [{ role: 'author', score: 10 }],
  });
  const after = (await entry()) as { reputationScore: number };
  expect(after).toMatchObject({ interactionFailures: '1', banScore: 10 });
  expect(after.reputationScore).toBeLessThan(50);
});
