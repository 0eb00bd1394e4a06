// Reports of our own validation through Kafka, and announcements to it: how often a hash is handed on, whom a report
// charges, and for which reasons it charges nobody. One server is on both wires, the other on go-p2p alone.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busBlock, busSubtree, messageBus } from '../support/bus-network.ts';
import { busTopics } from '../support/go-bus.ts';
import { GoPeer } from '../support/go-peer.ts';
import { GoScored } from '../support/go-scored.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readTopic } from '../support/kafka-reader.ts';
import { writeTopic } from '../support/kafka-writer.ts';
import {
  allTopics,
  blockFields,
  DATA_HUB,
  kafkaSettings,
  mainnetHeaders,
  PSK,
  privateNetwork,
  protobufOf,
  protobufStrings,
  topicsOf,
} from '../support/network.ts';
import { callPeerService } from '../support/peer-service-call.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const oldTopics = topicsOf('mainnet');
const newTopics = busTopics('mainnet');
const headers = mainnetHeaders();
const STRANGER = '12D3KooWDsRPXvXXUJoK3MpZL5ENQsHarF8Rk6J96CFet6uJGxvu';
/** Larger than any test waits. */
const SLOW = { timeoutMs: 60_000 };

let broker: KafkaBroker;
let both: ServerProcess;
let onlyOld: ServerProcess;
let old: GoPeer;
let bus: GoScored;

async function awaitMesh(peer: GoPeer | GoScored, topics: readonly string[], id: string): Promise<void> {
  const isMeshed = async () => {
    const { mesh } = await peer.mesh();
    return topics.every((topic) => mesh[topic]?.includes(id));
  };
  await waitFor(isMeshed, { what: 'the mesh' });
}

beforeAll(async () => {
  broker = await KafkaBroker.start();
  const common = {
    ...privateNetwork('mainnet'),
    ...kafkaSettings(broker.address),
    p2p_http_rate: '0',
    logLevel: 'INFO',
  };
  [both, onlyOld] = await Promise.all([
    ServerProcess.start({
      settings: { ...messageBus('mainnet'), ...common, p2p_wire: 'both', p2p_go_p2p_port: '0', clientName: 'both' },
    }),
    ServerProcess.start({
      settings: {
        ...common,
        p2p_wire: 'go-p2p',
        clientName: 'old',
        // What it hands on is of no interest here.
        kafka_blocksConfig: 'memory://local/blocks',
        kafka_subtreesConfig: 'memory://local/subtrees',
      },
    }),
  ]);
  old = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet') });
  for (const [server, address] of [
    [both, both.addressOn('go-p2p')],
    [onlyOld, onlyOld.address],
  ] as const) {
    await old.connect(address);
    await awaitMesh(old, [oldTopics.block, oldTopics.subtree], server.peerId);
  }
  bus = await GoScored.start({ network: 'mainnet', topics: Object.values(newTopics) });
  await bus.connect(both.addressOn('message-bus'));
  await awaitMesh(bus, [newTopics.block, newTopics.subtree], both.peerId);
});

afterAll(async () => {
  await Promise.all([old?.stop(), bus?.stop(), both?.stop(), onlyOld?.stop()]);
  await broker?.stop();
});

const heard = (server: ServerProcess) => server.metric('teranode_p2p_gossip_messages_total', 'reason="processed"');
const reported = (server: ServerProcess, kind: string, outcome: string) =>
  server.metric('teranode_p2p_reports_total', `kind="${kind}"`, `outcome="${outcome}"`);

interface Explained {
  readonly scores: readonly { readonly role: string; readonly score: number }[];
  readonly offences: readonly { readonly rule: string; readonly hash?: string }[];
}

async function explained(server: ServerProcess, subject: string): Promise<Explained> {
  const { scores, offences } = JSON.parse((await server.get(`/api/v1/explain/${subject}`)).body) as Explained;
  return { scores, offences };
}

const hashOf = (height: number) => blockFields(headers[height] ?? Buffer.alloc(80), height, '').Hash;
const oldBlock = (height: number, id: string) => blockFields(headers[height] ?? Buffer.alloc(80), height, id);
const newBlock = (height: number, id: string) => busBlock(headers[height] ?? Buffer.alloc(80), height, id);

describe('a hash that many authors announce', () => {
  test.each(['block', 'subtree'] as const)(
    'goes to Kafka for three of them, whatever their wires, and a %s stays attributed to all of them',
    async (kind) => {
      const Hash = kind === 'block' ? hashOf(1000) : randomBytes(32).toString('hex');
      const onOld = kind === 'block' ? oldBlock(1000, 'PEER_ID') : { Hash, DataHubURL: DATA_HUB, PeerID: 'PEER_ID' };
      const onBus = kind === 'block' ? newBlock(1000, '{PEER_ID}') : { ...busSubtree('{PEER_ID}'), Hash };
      const before = await heard(both);
      const crowd = { count: 6, ratePerSecond: 100 };
      const authors = [
        ...(await old.publishAs({ ...crowd, topic: oldTopics[kind], template: JSON.stringify(onOld) })),
        ...(await bus.publishAs({ ...crowd, topic: newTopics[kind], template: JSON.stringify(onBus) })),
      ];
      await waitFor(async () => (await heard(both)) === before + 12, { what: 'twelve announcements' });
      const records = (await readTopic(broker.address, `${kind}s`, () => false, 3000)).map(protobufStrings);
      const announcers = records.filter(({ 1: hash }) => hash === Hash).map(({ 3: author }) => author);
      expect(new Set(announcers).size).toBe(3);
      expect(announcers).toHaveLength(3);
      expect(authors).toEqual(expect.arrayContaining(announcers));
      // The report names nobody: any of the twelve may be at fault.
      await writeTopic(broker.address, `invalid-${kind}s`, [protobufOf({ 1: Hash, ...reasonOf(kind, 'invalid') })]);
      await waitFor(async () => (await reported(both, `invalid_${kind}`, 'ambiguous')) === 1, {
        ...SLOW,
        what: 'the report',
      });
    },
  );
});

test('a queue to Kafka that is full gives the turn of a dropped announcement to the next author', async () => {
  const dead = await ServerProcess.start({
    settings: {
      ...privateNetwork('mainnet'),
      ...kafkaSettings('127.0.0.1:1'),
      p2p_wire: 'go-p2p',
      kafka_queue_max_messages: '1',
      logLevel: 'INFO',
    },
  });
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet'), allow: [dead.peerId] });
  try {
    await peer.connect(dead.address);
    await awaitMesh(peer, [oldTopics.block, oldTopics.subtree], dead.peerId);
    const Hash = randomBytes(32).toString('hex');
    const templates = { block: oldBlock(1000, 'PEER_ID'), subtree: { Hash, DataHubURL: DATA_HUB, PeerID: 'PEER_ID' } };
    for (const [kind, fields] of Object.entries(templates) as ['block' | 'subtree', object][]) {
      const job = { topic: oldTopics[kind], count: 8, ratePerSecond: 100, template: JSON.stringify(fields) };
      await peer.publishAs(job);
      const dropped = () => dead.metric('teranode_p2p_gossip_kafka_publish_dropped_total', `topic="${kind}"`);
      // One may be on its way to the broker, and one may wait.
      await waitFor(async () => (await dropped()) >= 6, { what: 'dropped announcements' });
      expect(await dead.metric('teranode_p2p_seen_hash_skipped_total', `topic="${kind}"`)).toBe(0);
    }
  } finally {
    await Promise.all([peer.stop(), dead.stop()]);
  }
});

const reasonOf = (kind: 'block' | 'subtree', reason: string) =>
  kind === 'block' ? { 2: reason } : { 2: '', 3: reason };
const naming = (kind: 'block' | 'subtree', peerId: string) => (kind === 'block' ? { 3: peerId } : { 4: peerId });

describe.each(['block', 'subtree'] as const)('reports of an invalid %s', (kind) => {
  const outcome = (server: ServerProcess, name: string) => reported(server, `invalid_${kind}`, name);
  const servers = () => [both, onlyOld];

  test('whose reasons are our own charge nobody, with or without a name', async () => {
    const Hash = kind === 'block' ? hashOf(2000) : randomBytes(32).toString('hex');
    const fields = kind === 'block' ? oldBlock(2000, old.peerId) : { Hash, DataHubURL: DATA_HUB, PeerID: old.peerId };
    const before = await Promise.all(servers().map(heard));
    const standing = await Promise.all(servers().map((server) => explained(server, old.peerId)));
    await old.publish(oldTopics[kind], JSON.stringify(fields));
    for (const [i, server] of servers().entries())
      await waitFor(async () => (await heard(server)) > (before[i] ?? 0), { what: 'the announcement' });
    const reasons = [
      'block already exists as invalid',
      'BLOCK_EXISTS (35): already known',
      'invalidated by operator',
      'context canceled',
      'CONTEXT_CANCELED (8)',
      'storage error',
      'STORAGE_ERROR (59): disk full',
      'context deadline exceeded',
      'request timed out',
    ];
    const records = reasons.flatMap((reason) =>
      ['', old.peerId].map((name) =>
        protobufOf({ 1: Hash, ...reasonOf(kind, reason), ...(name === '' ? {} : naming(kind, name)) }),
      ),
    );
    await writeTopic(broker.address, `invalid-${kind}s`, records);
    for (const [i, server] of servers().entries()) {
      await waitFor(async () => (await outcome(server, 'own_reason')) === records.length, {
        ...SLOW,
        what: 'all reports',
      });
      expect(await explained(server, old.peerId)).toEqual(standing[i]);
    }
  });

  test('charge the peer that they name once per hash in ten minutes, connected or not, and no other', async () => {
    const [connected, unconnected] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
    const record = (hash: string, peerId: string) =>
      protobufOf({
        1: hash,
        ...reasonOf(kind, 'merkle root http://timeout.example/operator'),
        ...naming(kind, peerId),
      });
    const ofOther = { ...(await explained(both, bus.peerId)) };
    await writeTopic(broker.address, `invalid-${kind}s`, [
      ...Array.from({ length: 12 }, () => record(connected, old.peerId)),
      ...Array.from({ length: 12 }, () => record(unconnected, STRANGER)),
      record(connected, both.peerId),
      record(connected, 'legacy:192.0.2.1:8333'),
    ]);
    for (const server of servers())
      await waitFor(async () => (await outcome(server, 'repeated')) === 22, { ...SLOW, what: 'the repeated reports' });
    await waitFor(async () => (await outcome(both, 'own')) === 1, { ...SLOW, what: 'the report that names us' });
    expect(await outcome(both, 'unattributed')).toBe(1);
    for (const server of servers()) {
      const isReputation = server === both && kind === 'subtree';
      expect(await outcome(server, isReputation ? 'failure_recorded' : 'charged')).toBeGreaterThanOrEqual(2);
      for (const [id, hash] of [
        [old.peerId, connected],
        [STRANGER, unconnected],
      ] as const) {
        const { offences } = await explained(server, id);
        const charged = offences.filter((each) => each.rule === `invalid_${kind}_report`);
        expect(charged.map((each) => each.hash)).toEqual(isReputation ? [] : [hash]);
      }
    }
    expect(await explained(both, bus.peerId)).toEqual(ofOther);
    if (kind !== 'subtree') return;
    // With message-bus in force it costs reputation.
    for (const peerId of [old.peerId, STRANGER])
      expect(await callPeerService(both, 'getPeer', { peerId })).toMatchObject({
        found: true,
        peer: { interactionFailures: 1n },
      });
  });
});
