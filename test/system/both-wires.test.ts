// One server on both wires: a private network of the specification on one side, a network of message-bus on the other.
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { admin } from '../support/admin.ts';
import { busBlock, messageBus } from '../support/bus-network.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { busTopics, GoBus } from '../support/go-bus.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readTopic } from '../support/kafka-reader.ts';
import {
  allTopics,
  blockFields,
  kafkaSettings,
  mainnetHeaders,
  PSK,
  privateNetwork,
  protobufStrings,
  topicsOf,
} from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const oldTopics = topicsOf('regtest');
const newTopics = busTopics('regtest');
const UNREACHABLE = ['/ip4/127.0.0.1/tcp/1'];
const dataFolder = temporaryFolder('both-wires');

let broker: KafkaBroker;
let server: ServerProcess;
let old: GoPeer;
let bus: GoBus;

/** An Ed25519 key as Go reads it: seed and public half. */
function newKey(): string {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return Buffer.concat([Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]).toString('hex');
}

function startServer(): Promise<ServerProcess> {
  return ServerProcess.start({
    dataFolder,
    settings: {
      ...messageBus('regtest'),
      ...privateNetwork('regtest'),
      ...kafkaSettings(broker.address),
      p2p_wire: 'both',
      p2p_go_p2p_port: '0',
      embedded_chain_mine_interval: '1s',
      // That a peer with a higher chain is met goes to block validation as a record of its own.
      p2p_force_sync_peer: '12D3KooWDsRPXvXXUJoK3MpZL5ENQsHarF8Rk6J96CFet6uJGxvu',
    },
  });
}

const startOld = (privateKey = newKey()) => GoPeer.start({ psk: PSK, topics: allTopics('regtest'), privateKey });
const startBus = (privateKey = newKey()) =>
  GoBus.start({
    network: 'regtest',
    bootstrapPeers: [server.addressOn('message-bus')],
    announceAddrs: UNREACHABLE,
    privateKey,
  });

async function joinOld(peer: GoPeer): Promise<void> {
  const isMeshed = async () => {
    // Go waits for a while after each failed dial.
    await peer.connect(server.addressOn('go-p2p')).catch(() => undefined);
    return (await peer.mesh()).mesh[oldTopics.block]?.includes(server.peerId);
  };
  await waitFor(isMeshed, { timeoutMs: 60_000, what: 'the mesh of go-p2p' });
}

async function joinBus(peer: GoBus): Promise<void> {
  await waitFor(async () => (await peer.mesh()).mesh[newTopics.block]?.includes(server.peerId), {
    timeoutMs: 60_000,
    what: 'the mesh of message-bus',
  });
}

beforeAll(async () => {
  broker = await KafkaBroker.start();
  server = await startServer();
  [old, bus] = await Promise.all([startOld(), startBus()]);
  await Promise.all([joinOld(old), joinBus(bus)]);
});

afterAll(async () => {
  await Promise.all([old?.stop(), bus?.stop(), server?.stop()]);
  await broker?.stop();
});

test('a block mined here is heard on both wires, each in its own form', async () => {
  const oldOnes = await waitFor(
    async () => {
      const blocks = await old.received(oldTopics.block);
      return blocks.length > 0 && blocks;
    },
    { what: 'a block on go-p2p' },
  );
  const hash: string = JSON.parse(oldOnes[0]?.data.toString() ?? '{}').Hash;
  const enveloped = await waitFor(
    async () => (await bus.received(newTopics.block)).find(({ text }) => JSON.parse(text).Hash === hash),
    { what: 'the same block on message-bus' },
  );
  expect(Object.keys(JSON.parse(oldOnes[0]?.data.toString() ?? '{}'))).toEqual([
    'Hash',
    'Height',
    'DataHubURL',
    'PeerID',
    'Header',
  ]);
  expect(Object.keys(JSON.parse(enveloped.text))).toEqual([
    'PeerID',
    'ClientName',
    'DataHubURL',
    'Hash',
    'Height',
    'Header',
    'Coinbase',
  ]);
  expect([oldOnes[0]?.author, enveloped.author]).toEqual([server.peerId, server.peerId]);
});

test('what one author announces on both wires is one Kafka record, what two authors announce is two', async () => {
  const [first, second, last] = mainnetHeaders().slice(1, 4);
  if (first === undefined || second === undefined || last === undefined) throw new Error('no headers');
  const key = newKey();
  const [sameOld, sameBus] = await Promise.all([startOld(key), startBus(key)]);
  try {
    expect(sameOld.peerId).toBe(sameBus.peerId);
    await Promise.all([joinOld(sameOld), joinBus(sameBus)]);
    await sameOld.publish(oldTopics.block, JSON.stringify(blockFields(first, 1, sameOld.peerId)));
    await sameBus.publish(newTopics.block, busBlock(first, 1, sameBus.peerId));
    await old.publish(oldTopics.block, JSON.stringify(blockFields(second, 2, old.peerId)));
    await bus.publish(newTopics.block, busBlock(second, 2, bus.peerId));
    // Each of the two wires carries another announcement behind the others.
    await sameOld.publish(oldTopics.block, JSON.stringify(blockFields(last, 3, sameOld.peerId)));
    await bus.publish(newTopics.block, busBlock(last, 3, bus.peerId));

    const records = (await readTopic(broker.address, 'blocks', (count) => count > 5)).map(protobufStrings);
    const announcers = (header: Buffer, height: number) => {
      const { Hash } = blockFields(header, height, '');
      return records.filter(({ 1: hash }) => hash === Hash).map(({ 3: peerId }) => peerId);
    };
    expect(announcers(first, 1)).toEqual([sameOld.peerId]);
    expect(announcers(second, 2).sort()).toEqual([old.peerId, bus.peerId].sort());
    expect(announcers(last, 3).sort()).toEqual([sameOld.peerId, bus.peerId].sort());
  } finally {
    await Promise.all([sameOld.stop(), sameBus.stop()]);
  }
});

test.each([
  ['peer ID', undefined],
  ['address', '127.0.0.1'],
  ['subnet', '127.0.0.0/8'],
])('a ban by %s holds on both wires', async (_what, subject) => {
  const key = newKey();
  const [onOld, onBus] = await Promise.all([startOld(key), startBus(key)]);
  try {
    await Promise.all([joinOld(onOld), joinBus(onBus)]);
    const banned = subject ?? onOld.peerId;
    await admin(server, 'bans', 'add', banned);
    const isCut = async () =>
      !(await onOld.isConnectedTo(server.peerId)) && !(await onBus.isConnectedTo(server.peerId));
    await waitFor(isCut, { what: 'the end of both connections' });
    const refusals = () => server.metric('teranode_p2p_connections_refused_total', 'reason="banned_');
    const before = await refusals();
    await onOld.connect(server.addressOn('go-p2p')).catch(() => undefined);
    // The peer of message-bus dials again by itself.
    await waitFor(async () => (await refusals()) >= before + 2, { timeoutMs: 60_000, what: 'refusals' });
    expect(await isCut()).toBe(true);
    await admin(server, 'bans', 'remove', banned);
    await Promise.all([joinOld(onOld), joinBus(onBus)]);
    if (subject !== undefined) await Promise.all([joinOld(old), joinBus(bus)]);
  } finally {
    await Promise.all([onOld.stop(), onBus.stop()]);
  }
});

test('a stop and a restart keep one identity on both wires', async () => {
  const { peerId } = server;
  expect((await server.stop()).code).toBe(0);
  server = await startServer();
  expect(server.peerId).toBe(peerId);
  const own = server.ready.listenAddresses.map((address) => address.slice(address.lastIndexOf('/') + 1));
  expect(server.ready.networks.map(({ wire }) => wire)).toEqual(['message-bus', 'go-p2p']);
  expect(new Set(own)).toEqual(new Set([peerId]));
});
