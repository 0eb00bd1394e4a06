// Nodes between two versions of the network, which speak two topic prefixes: whom they meet stays, what they say goes
// out under both, and what comes under both counts once. And nodes that have no prefix in common.
import { afterEach, expect, test } from 'vitest';
import { GoPeer, type GoPeerOptions } from '../support/go-peer.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { readTopic } from '../support/kafka-reader.ts';
import {
  blockFields,
  kafkaSettings,
  mainnetHeaders,
  PSK,
  privateNetwork,
  protobufStrings,
} from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';
import { cutAll, RawWebSocket } from '../support/websocket.ts';

const OLD_PREFIX = 'bitcoin/regtest';
/** Of networks that were built with a later go-chaincfg. */
const NEW_PREFIX = 'teranode/bitcoin/1.0.0/regtest';
/** A node of ours that speaks the later prefix, and two that do not, or not only. */
const OLD_ALONE = { ...privateNetwork('regtest'), embedded_chain_mine_interval: '500ms' };
const NEW_ALONE = { ...OLD_ALONE, chainCfgParams_topicPrefix: NEW_PREFIX };
const BOTH = { ...NEW_ALONE, p2p_further_topic_prefixes: OLD_PREFIX };
/** No trigger to fetch from a peer ahead stands among the records. */
const NO_SYNC = { p2p_min_peers_for_sync: '100', p2p_max_wait_for_min_peers: '1h' };

const running: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  cutAll();
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

async function startServer(settings: Record<string, string>): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings });
  running.push(server);
  return server;
}

async function startPeer(options: GoPeerOptions): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, ...options });
  running.push(peer);
  return peer;
}

function handshakes(server: ServerProcess, ...labels: string[]): Promise<number> {
  return server.metric('teranode_p2p_handshakes_total', 'direction="in"', ...labels);
}

function dials(server: ServerProcess): Promise<number> {
  return server.metric('teranode_p2p_dials_total');
}

function infoLines(server: ServerProcess, event: string): number {
  return server.output.json.filter((line) => line.level === 'info' && line.event === event).length;
}

interface Topics {
  readonly topics: readonly { readonly name: string; readonly mesh: readonly string[] }[];
}

/** Each sees the other in its mesh, so that nothing is lost from now on. */
async function inMesh(peer: GoPeer, server: ServerProcess, topic: string): Promise<void> {
  const isSeen = async () => {
    const { topics } = JSON.parse((await server.get('/api/v1/topics')).body) as Topics;
    const mesh = topics.find(({ name }) => name === topic)?.mesh ?? [];
    return mesh.includes(peer.peerId) && (await peer.mesh()).mesh[topic]?.includes(server.peerId);
  };
  await waitFor(isSeen, { what: 'the mesh' });
}

test.each([
  ['the old prefix alone', 'both', OLD_ALONE, BOTH],
  ['both', 'the old prefix alone', BOTH, OLD_ALONE],
  ['the new prefix alone', 'both', NEW_ALONE, BOTH],
])(
  'a node with %s dialled by a node with %s stays connected, and both receive each other’s blocks',
  async (_one, _other, listens, dialsIt) => {
    const first = await startServer(listens);
    const second = await startServer({ ...dialsIt, p2p_static_peers: first.address });
    const [atFirst, atSecond] = await Promise.all(
      [first, second].map((each) => RawWebSocket.open(each.ready.httpAddress)),
    );
    for (const [watcher, author] of [
      [atFirst, second],
      [atSecond, first],
    ] as const) {
      const heard = () => watcher?.messages('block').filter(({ peer_id }) => peer_id === author.peerId) ?? [];
      await waitFor(() => heard().length >= 10, { timeoutMs: 30_000, what: 'blocks of the other' });
      const hashes = heard().map(({ hash }) => hash);
      expect(new Set(hashes).size).toBe(hashes.length);
    }
    for (const each of [first, second]) {
      for (const type of ['version', 'verack'])
        expect(await handshakes(each, `type="${type}"`, 'way="stream"', 'outcome="accepted"')).toBeGreaterThanOrEqual(
          1,
        );
      expect(await handshakes(each, 'outcome="other_prefix"')).toBe(0);
      expect(await each.metric('teranode_p2p_connected_peers')).toBe(1);
    }
    expect(await dials(second)).toBe(1);
  },
);

test('nodes without a common prefix refuse each other every time, dial with back-off, and log it once', async () => {
  const first = await startServer(OLD_ALONE);
  const startedMs = performance.now();
  const second = await startServer({ ...NEW_ALONE, p2p_static_peers: first.address });
  await waitFor(async () => (await dials(second)) >= 5, { timeoutMs: 60_000, what: 'five dials' });
  // 0.5, 1, 2 and 4 s, each a quarter less at least.
  expect(performance.now() - startedMs).toBeGreaterThan(5600);
  const refusals = async () => {
    const each = await Promise.all([first, second].map((server) => handshakes(server, 'outcome="other_prefix"')));
    return each.reduce((sum, count) => sum + count, 0);
  };
  await waitFor(async () => (await refusals()) >= 5, { what: 'the refusals' });
  for (const each of [first, second])
    expect(infoLines(each, 'peer of another network disconnected')).toBeLessThanOrEqual(1);
  expect(infoLines(second, 'connection did not last')).toBe(1);
});

test('a node announces the same bytes once under each of its prefixes', async () => {
  const server = await startServer(BOTH);
  const names = [`${NEW_PREFIX}-block`, `${OLD_PREFIX}-block`];
  const peer = await startPeer({ topics: names });
  await peer.connect(server.address);
  for (const name of names) await inMesh(peer, server, name);
  const [ours = [], old = []] = await waitFor(
    async () => {
      const all = await Promise.all(names.map((name) => peer.received(name)));
      return all.every((each) => each.length >= 6) && all;
    },
    { what: 'six blocks under each' },
  );
  const [oursTexts = [], oldTexts = []] = [ours, old].map((each) => each.map(({ data }) => data.toString()));
  for (const each of [oursTexts, oldTexts]) expect(new Set(each).size).toBe(each.length);
  // The mesh of one may have been there a block before that of the other.
  expect(oursTexts.filter((text) => oldTexts.includes(text)).length).toBeGreaterThanOrEqual(5);
  expect([...ours, ...old].every(({ author }) => author === server.peerId)).toBe(true);
});

test('a message under both prefixes is processed once, with one record and one frame, and forwarded under both', async () => {
  const COUNT = 50;
  const broker = await KafkaBroker.start();
  running.push(broker);
  const quiet = { embedded_chain_mine_interval: '', ...NO_SYNC };
  const server = await startServer({ ...BOTH, ...quiet, ...kafkaSettings(broker.address) });
  const names = [`${NEW_PREFIX}-block`, `${OLD_PREFIX}-block`];
  const options = { allow: [server.peerId] };
  const publisher = await startPeer({ topics: names, ...options });
  const listeners = await Promise.all(names.map((name) => startPeer({ topics: [name], ...options })));
  for (const each of [publisher, ...listeners]) await each.connect(server.address);
  for (const [i, name] of names.entries())
    for (const each of [publisher, listeners[i] ?? publisher]) await inMesh(each, server, name);
  const watcher = await RawWebSocket.open(server.ready.httpAddress);
  const headers = mainnetHeaders().slice(1, COUNT + 1);
  const blocks = headers.map((header, i) => blockFields(header, i + 1, publisher.peerId));
  for (const [i, block] of blocks.entries()) {
    // Now the one first, now the other.
    for (const name of i % 2 === 0 ? names : names.toReversed()) await publisher.publish(name, JSON.stringify(block));
  }
  for (const [i, name] of names.entries()) {
    const heard = async () => (await listeners[i]?.received(name)) ?? [];
    await waitFor(async () => (await heard()).length === COUNT, { what: `all blocks under ${name}` });
  }
  const hashes = blocks.map(({ Hash }) => Hash).sort();
  const records = (await readTopic(broker.address, 'blocks', (count) => count > COUNT)).map(protobufStrings);
  expect(records.map((fields) => fields[1]).sort()).toEqual(hashes);
  expect(records.every((fields) => fields[3] === publisher.peerId)).toBe(true);
  const frames = watcher.messages('block').map(({ hash }) => hash);
  expect(frames.sort()).toEqual(hashes);
});
