// What a server announces at its largest and at its fastest, on both wires: longest names, URLs and reasons stay within
// what receivers accept; a flood of rejected transactions is thinned out and delays no block; a block waits for its
// subtrees.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NotificationType } from '../../src/gen/model_pb.js';
import { messageBus } from '../support/bus-network.ts';
import { type BusReceived, busTopics, GoBus } from '../support/go-bus.ts';
import { GoPeer } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { writeTopic } from '../support/kafka-writer.ts';
import { allTopics, kafkaSettings, PSK, privateNetwork, protobufOf, topicsOf } from '../support/network.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

/** What receivers of message-bus take at most, without the envelope (Teranode since August 2026), in bytes. */
const CAPS = { block: 10_240, subtree: 8192, rejectedTx: 8192, nodeStatus: 10_240 } as const;
const MAX_URL_BYTES = 2048;
/** Each costs six bytes in Go's JSON. */
const COSTLY = '<&>';
const NAME = `n${'"é<&>'.repeat(400)}`;
const BASE = 'http://127.0.0.1:8090/';
/** As many characters as fit when some of them cost six bytes. */
const URL_AT_BOUND = `${BASE}${'&'.repeat(100)}${'u'.repeat(MAX_URL_BYTES - BASE.length - 600)}`;

const oldTopics = topicsOf('regtest');
const newTopics = busTopics('regtest');

let broker: KafkaBroker;
let services: ReferenceServiceProcess;
let server: ServerProcess;
let bus: GoBus;
let old: GoPeer;

function settings(): Record<string, string> {
  return {
    ...messageBus('regtest'),
    ...privateNetwork('regtest'),
    ...kafkaSettings(broker.address),
    p2p_wire: 'both',
    p2p_go_p2p_port: '0',
    blockchain_grpcAddress: services.address,
    blockassembly_grpcAddress: services.address,
    clientName: NAME,
    asset_httpPublicAddress: URL_AT_BOUND,
    asset_propagationPublicURL: URL_AT_BOUND,
    minminingtxfee: '123456.12345678',
    maxscriptsizepolicy: '999999999999999',
    maxtxsizepolicy: '999999999999999',
    maxtxsigopscountspolicy: '999999999999999',
  };
}

beforeAll(async () => {
  [broker, services] = await Promise.all([KafkaBroker.start(), ReferenceServiceProcess.start()]);
  await services.setAssembly({ txCount: '18446744073709551615', queueCount: '0', subtreeCount: 4_294_967_295 });
  server = await ServerProcess.start({ settings: settings() });
  const busAt = server.addressOn('message-bus');
  [bus, old] = await Promise.all([
    GoBus.start({ network: 'regtest', bootstrapPeers: [busAt] }),
    GoPeer.start({ psk: PSK, topics: allTopics('regtest') }),
  ]);
  await old.connect(server.addressOn('go-p2p'));
  for (const topic of Object.values(newTopics))
    await waitFor(async () => (await bus.mesh()).mesh[topic]?.includes(server.peerId), {
      what: `the mesh of ${topic}`,
    });
  for (const topic of [oldTopics.block, oldTopics.subtree, oldTopics.rejectedTx])
    await waitFor(async () => (await old.mesh()).mesh[topic]?.includes(server.peerId), {
      what: `the mesh of ${topic}`,
    });
});

afterAll(async () => {
  await Promise.all([bus?.stop(), old?.stop(), server?.stop()]);
  await Promise.all([services?.stop(), broker?.stop()]);
});

const ofServer = async (topic: string): Promise<readonly BusReceived[]> =>
  (await bus.received(topic)).filter(({ author }) => author === server.peerId);

/** Hashes of the blocks heard on each wire. */
async function blocksHeard(): Promise<{ readonly onBus: string[]; readonly onOld: string[] }> {
  const hashOf = (text: string): string => JSON.parse(text).Hash;
  return {
    onBus: (await ofServer(newTopics.block)).map(({ text }) => hashOf(text)),
    onOld: (await old.received(oldTopics.block)).map(({ data }) => hashOf(data.toString())),
  };
}

async function heardOnBoth(hash: string): Promise<void> {
  const isHeard = async () => {
    const { onBus, onOld } = await blocksHeard();
    return onBus.includes(hash) && onOld.includes(hash);
  };
  await waitFor(isHeard, { what: `block ${hash} on both wires` });
}

test('every kind of announcement stays within the caps of message-bus with the longest names, URLs and reasons', async () => {
  await services.mine();
  const txId = 'ab'.repeat(32);
  const reason = COSTLY.repeat(20_000);
  await writeTopic(broker.address, 'rejectedtx', [protobufOf({ 1: txId, 2: reason })]);
  for (const kind of ['block', 'subtree', 'rejectedTx', 'nodeStatus'] as const) {
    const [first] = await waitFor(
      async () => {
        const all = await ofServer(newTopics[kind]);
        return all.length > 0 && all;
      },
      { timeoutMs: 30_000, what: kind },
    );
    const { text = '', name = '' } = first ?? {};
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(CAPS[kind]);
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(128);
    const message = JSON.parse(text) as Record<string, string>;
    const { DataHubURL, base_url: baseUrl, propagation_url: propagationUrl } = message;
    if (kind === 'block' || kind === 'subtree') expect(DataHubURL).toBe(URL_AT_BOUND);
    if (kind === 'nodeStatus') expect([baseUrl, propagationUrl]).toEqual([URL_AT_BOUND, URL_AT_BOUND]);
    if (kind === 'rejectedTx') expect(Buffer.byteLength(message.Reason ?? '')).toBeLessThanOrEqual(1024);
  }
  expect(await server.metric('teranode_p2p_announcements_total', 'outcome="failed"')).toBe(0);
});

test('a URL that costs more bytes than receivers take is refused at the start, and the message names the bound', async () => {
  const keys = ['asset_httpPublicAddress', 'asset_httpAddress', 'asset_propagationPublicURL'];
  const long = Object.fromEntries(keys.map((key) => [key, `${URL_AT_BOUND}u`]));
  const { code, errors } = await ServerProcess.runToEnd({ settings: { ...settings(), ...long } });
  expect({ code, errors }).toEqual({ code: 2, errors: expect.stringContaining(`at most ${MAX_URL_BYTES} bytes`) });
  for (const key of keys) expect(errors).toContain(key);
});

test('5,000 rejections of 300 transactions become few announcements, each once, and delay no block', async () => {
  const already = (await ofServer(newTopics.rejectedTx)).length;
  const suppressed = () => server.metric('teranode_p2p_rejected_tx_publish_suppressed_total');
  const before = await suppressed();
  const txId = (i: number) => (i % 300).toString(16).padStart(64, '0');
  const records = Array.from({ length: 5000 }, (_each, i) => protobufOf({ 1: txId(i), 2: 'bad-txns' }));
  const startedMs = performance.now();
  await writeTopic(broker.address, 'rejectedtx', records);
  const { hash } = await services.mine();
  await heardOnBoth(hash);
  // The announcements that got through, and those that did not, are all of them.
  const heard = async () =>
    (await ofServer(newTopics.rejectedTx)).slice(already).map(({ text }) => JSON.parse(text).TxID);
  await waitFor(async () => (await heard()).length + (await suppressed()) - before === records.length, {
    timeoutMs: 60_000,
    what: 'the end of the flood',
  });
  const announced = await heard();
  const seconds = (performance.now() - startedMs) / 1000;
  expect(new Set(announced).size).toBe(announced.length);
  // The burst, and ten a second.
  expect(announced.length).toBeGreaterThanOrEqual(90);
  expect(announced.length).toBeLessThanOrEqual(100 + 10 * seconds + 1);
  expect(await server.metric('teranode_p2p_rejected_tx_publish_suppressed_total', 'reason="repeated"')).toBeGreaterThan(
    0,
  );
  expect(await server.metric('teranode_p2p_rejected_tx_publish_suppressed_total', 'reason="rate"')).toBeGreaterThan(0);
  const onOld = (await old.received(oldTopics.rejectedTx)).map(({ data }) => JSON.parse(data.toString()).TxID);
  expect(new Set(onOld).size).toBe(onOld.length);
});

const held = () => server.metric('teranode_p2p_announce_held_blocks ');

async function heardOnce(hash: string): Promise<void> {
  // A later block shows that no second announcement is on its way.
  await services.setSubtrees(true);
  await heardOnBoth((await services.mine()).hash);
  const { onBus, onOld } = await blocksHeard();
  expect([onBus, onOld].map((all) => all.filter((each) => each === hash).length)).toEqual([1, 1]);
}

test('a block whose subtrees are not set is announced after two seconds by a service that never says when they are', async () => {
  await services.setSubtrees(false);
  const startedMs = performance.now();
  const { hash } = await services.mine();
  await heardOnBoth(hash);
  expect(performance.now() - startedMs).toBeGreaterThan(1900);
  await heardOnce(hash);
});

test('a block whose subtrees are not set is announced when BlockSubtreesSet arrives, once', async () => {
  const subtreesSet = (hash: string) =>
    services.notify({
      type: NotificationType.BlockSubtreesSet,
      hash: Buffer.from(hash, 'hex').reverse().toString('hex'),
    });
  // Of an earlier block: from now on this server waits long for such a service.
  await subtreesSet((await services.best()).hash);
  await services.setSubtrees(false);
  const { hash } = await services.mine();
  await waitFor(async () => (await held()) === 1, { what: 'the block to be held' });
  expect(Object.values(await blocksHeard()).flat()).not.toContain(hash);
  for (let i = 0; i < 2; i += 1) await subtreesSet(hash);
  await heardOnBoth(hash);
  await heardOnce(hash);
});
