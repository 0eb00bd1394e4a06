// Version and verack between `npm start` and Go peers that take part as the Teranode server does; what is recorded of
// that server, answered; other networks refused; hostile streams ended.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { type GoHandshake, GoPeer, type GoPeerOptions } from '../support/go-peer.ts';
import { allTopics, DATA_HUB, headerHash, mainnetHeaders, PSK, privateNetwork, topicsOf } from '../support/network.ts';
import { recordedTexts } from '../support/recorded.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const DIRECT = 'teranode/bitcoin/1.0.0';
const PREFIX = 'bitcoin/mainnet';
const OLD_PREFIX = 'bitcoin/mainnet';
const topics = topicsOf('mainnet');
const GENESIS = headerHash(mainnetHeaders()[0] ?? Buffer.alloc(80));
const SETTINGS = { ...privateNetwork('mainnet'), asset_httpPublicAddress: DATA_HUB };
/** Nothing is said on the topic at start. */
const QUIET_START = { p2p_handshake_topic_size: '100', p2p_handshake_topic_timeout: '120s' };
const MIB = 1024 * 1024;

const running: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

async function startServer(settings: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings: { ...SETTINGS, ...settings } });
  running.push(server);
  return server;
}

async function startPeer(options: GoPeerOptions = {}): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet'), ...options });
  running.push(peer);
  return peer;
}

function says(changes: Partial<GoHandshake['says']> = {}, topic = topics.handshake): GoHandshake {
  const said = {
    bestHeight: 2,
    bestHash: '0b'.repeat(32),
    dataHubURL: DATA_HUB,
    userAgent: 'teranode/bitcoin/Unknown',
  };
  return { protocol: DIRECT, topic, says: { ...said, topicPrefix: PREFIX, ...changes } };
}

/** A peer that takes part, connected to the server. */
async function member(server: ServerProcess, changes: Partial<GoHandshake['says']> = {}): Promise<GoPeer> {
  const peer = await startPeer();
  await peer.handshake(says(changes));
  await peer.connect(server.address);
  return peer;
}

type Fields = Record<string, unknown>;

/** What a peer got over streams. */
async function got(peer: GoPeer, type: 'version' | 'verack'): Promise<Fields[]> {
  // A stream that was cut with its connection brought nothing.
  const whole = (await peer.streams()).filter(({ error }) => error === undefined);
  const all = whole.map(({ data }) => JSON.parse(data.toString()) as Fields);
  return all.filter((fields) => fields.type === type);
}

function accepted(server: ServerProcess, type: 'version' | 'verack', way: 'stream' | 'topic'): Promise<number> {
  const labels = ['direction="in"', `type="${type}"`, `way="${way}"`, 'outcome="accepted"'];
  return server.metric('teranode_p2p_handshakes_total', ...labels);
}

function ended(server: ServerProcess, outcome: string): Promise<number> {
  return server.metric('teranode_p2p_handshakes_total', `outcome="${outcome}"`);
}

function versionOf(peer: GoPeer, changes: Fields = {}): string {
  return JSON.stringify({ type: 'version', peerID: peer.peerId, ...says().says, services: 0, ...changes });
}

async function inMesh(peer: GoPeer, other: string, topic = topics.handshake): Promise<void> {
  await waitFor(async () => (await peer.mesh()).mesh[topic]?.includes(other), { what: 'the mesh' });
}

/** What this server says, in Go's order of fields. */
function expected(server: ServerProcess, type: 'version' | 'verack') {
  return {
    type,
    peerID: server.peerId,
    bestHeight: 0,
    bestHash: GENESIS,
    dataHubURL: DATA_HUB,
    userAgent: expect.stringMatching(/^teranode\/bitcoin\/(v\d|Unknown)/),
    services: 1,
    topicPrefix: PREFIX,
  };
}

test('a server in silent mode says nothing to a Go peer, by stream or topic, and both stay connected', async () => {
  const server = await startServer({ listen_mode: 'silent' });
  const peer = await member(server);
  await inMesh(peer, server.peerId);
  await peer.publish(topics.handshake, versionOf(peer));
  const heard = () => server.metric('teranode_p2p_gossip_messages_total', 'topic="handshake"', 'reason="processed"');
  await waitFor(async () => (await heard()) >= 1, { what: 'its version by topic' });
  expect([await peer.streams(), await peer.received(topics.handshake)]).toEqual([[], []]);
  expect(await peer.isConnectedTo(server.peerId)).toBe(true);
});

describe('handshake on a stream', () => {
  test('a Go peer that dials exchanges version and verack both ways', async () => {
    const server = await startServer(QUIET_START);
    const peer = await member(server);
    for (const type of ['version', 'verack'] as const) {
      await waitFor(async () => (await got(peer, type)).length === 1, { what: `our ${type}` });
      await waitFor(async () => (await accepted(server, type, 'stream')) === 1, { what: `its ${type}` });
      expect(await got(peer, type)).toEqual([expected(server, type)]);
    }
    expect((await peer.streams()).every((stream) => stream.peerId === server.peerId)).toBe(true);
  });

  test('a Go peer that is dialled exchanges version and verack both ways', async () => {
    const peer = await startPeer();
    await peer.handshake(says());
    const server = await startServer({ ...QUIET_START, p2p_static_peers: peer.addresses[0] ?? '' });
    for (const type of ['version', 'verack'] as const) {
      await waitFor(async () => (await got(peer, type)).length === 1, { what: `our ${type}` });
      await waitFor(async () => (await accepted(server, type, 'stream')) === 1, { what: `its ${type}` });
    }
  });

  test('a Go peer that serves the stream only after it has connected still gets our version', async () => {
    const server = await startServer(QUIET_START);
    const peer = await startPeer();
    await peer.connect(server.address);
    const refusals = () => server.metric('teranode_p2p_handshakes_total', 'type="version"', 'outcome="failed"');
    await waitFor(async () => (await refusals()) >= 1, { what: 'a refusal' });
    await peer.handshake(says());
    await waitFor(async () => (await got(peer, 'version')).length >= 1, { what: 'our version' });
    await waitFor(async () => (await accepted(server, 'verack', 'stream')) >= 1, { what: 'its verack' });
  });

  test('a listen_only node sends version and verack', async () => {
    const server = await startServer({ listen_mode: 'listen_only', p2p_handshake_topic_timeout: '120s' });
    const peer = await member(server);
    await waitFor(async () => (await got(peer, 'version')).length === 1, { what: 'our version' });
    await waitFor(async () => (await got(peer, 'verack')).length === 1, { what: 'our verack' });
    await waitFor(async () => (await peer.received(topics.handshake)).length === 1, { what: 'our version by topic' });
  });
});

describe('handshake on the topic', () => {
  test('publishes our version at start when the topic has a subscriber, whose verack comes back on a stream', async () => {
    const server = await startServer({ p2p_handshake_topic_timeout: '120s' });
    const peer = await member(server);
    const [version] = await waitFor(
      async () => {
        const all = await peer.received(topics.handshake);
        return all.length > 0 && all;
      },
      { what: 'our version' },
    );
    expect(version?.author).toBe(server.peerId);
    expect(JSON.parse(version?.data.toString() ?? '')).toEqual(expected(server, 'version'));
    // One for the version on the stream, one for that on the topic.
    await waitFor(async () => (await accepted(server, 'verack', 'stream')) === 2, { what: 'its veracks' });
  });

  test('publishes our version after two seconds for a peer without the stream, and keeps the peer', async () => {
    const server = await startServer(QUIET_START);
    const peer = await startPeer();
    const startedMs = performance.now();
    await peer.connect(server.address);
    await waitFor(async () => (await peer.received(topics.handshake)).length === 1, { what: 'our version' });
    expect(performance.now() - startedMs).toBeGreaterThan(1900);
    expect(await peer.isConnectedTo(server.peerId)).toBe(true);
  });

  test('answers a version on a stream and records a verack', async () => {
    const server = await startServer();
    const peer = await startPeer({ streamProtocol: DIRECT });
    await peer.connect(server.address);
    await inMesh(peer, server.peerId);
    await peer.publish(topics.handshake, versionOf(peer));
    await waitFor(async () => (await got(peer, 'verack')).length === 1, { what: 'our verack' });
    await peer.publish(topics.handshake, versionOf(peer, { type: 'verack' }));
    await waitFor(async () => (await accepted(server, 'verack', 'topic')) === 1, { what: 'its verack' });
    expect(await accepted(server, 'version', 'topic')).toBe(1);
    expect(await got(peer, 'verack')).toHaveLength(1);
  });

  test('does not answer a forwarded version to the propagation source', async () => {
    const server = await startServer();
    const relay = await startPeer({ streamProtocol: DIRECT });
    await relay.connect(server.address);
    const author = await startPeer({ streamProtocol: DIRECT, allow: [relay.peerId] });
    await author.connect(relay.addresses[0] ?? '');
    await inMesh(author, relay.peerId);
    await inMesh(relay, server.peerId);
    await author.publish(topics.handshake, versionOf(author));
    await waitFor(async () => (await accepted(server, 'version', 'topic')) === 1, { what: 'the version' });
    await waitFor(async () => (await ended(server, 'not_connected')) === 1, { what: 'that nobody is dialled' });
    expect(await got(relay, 'verack')).toEqual([]);
    expect(await got(author, 'verack')).toEqual([]);
  });

  test('answers 2,000 versions of one author once per five seconds', async () => {
    const server = await startServer();
    const peer = await startPeer({ streamProtocol: DIRECT });
    await peer.connect(server.address);
    await inMesh(peer, server.peerId);
    const file = join(temporaryFolder('versions'), 'versions');
    writeFileSync(file, Array.from({ length: 2000 }, (_, i) => versionOf(peer, { bestHeight: i })).join('\n'));
    const startedMs = performance.now();
    await peer.publishMany({ topic: topics.handshake, file, ratePerSecond: 1000 });
    await waitFor(async () => (await accepted(server, 'version', 'topic')) >= 1900, { what: 'the versions' });
    const answers = (await got(peer, 'verack')).length;
    expect(answers).toBeGreaterThanOrEqual(1);
    expect(answers).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - startedMs) / 5000));
  });
});

describe('the recorded handshakes are answered as the recorded server answered', () => {
  const [verack = ''] = recordedTexts('teranode-direct-handshake.json').filter((text) => text.includes('"verack"'));
  const recorded = JSON.parse(verack) as Fields;

  test.each(recordedTexts('teranode-handshake.json').map((text, i) => [i, text] as const))(
    'version %i',
    async (_i, version) => {
      // The recorded server was built with the later prefix.
      const { topicPrefix } = JSON.parse(version) as { topicPrefix: string };
      const server = await startServer({ chainCfgParams_topicPrefix: topicPrefix });
      const peer = await startPeer({ streamProtocol: DIRECT });
      await peer.connect(server.address);
      const { peerID } = JSON.parse(version) as { peerID: string };
      const { writeError, readError } = await peer.streamSend({
        peerId: server.peerId,
        protocol: DIRECT,
        data: version.replace(peerID, peer.peerId),
      });
      expect([writeError, readError]).toEqual(['', '']);
      await waitFor(async () => (await got(peer, 'verack')).length === 1, { what: 'our verack' });
      const text = (await peer.streams()).map(({ data }) => data.toString()).find((data) => data.includes('"verack"'));
      const { userAgent } = JSON.parse(text ?? '{}') as Fields;
      // Both stand at the genesis of mainnet and say the same URL; only who they are differs.
      const ours = verack
        .replace(String(recorded.peerID), server.peerId)
        .replace(String(recorded.userAgent), String(userAgent))
        .replace('"services":0', '"services":1');
      expect(text).toBe(ours);
    },
  );
});

describe('a handshake from another network', () => {
  const foreign = 'bitcoin/testnet';

  test.each(['stream', 'topic'])('on a %s is refused and disconnected without a penalty', async (way) => {
    const server = await startServer();
    const peer = await startPeer({ streamProtocol: DIRECT });
    await peer.connect(server.address);
    const data = versionOf(peer, { topicPrefix: foreign });
    if (way === 'topic') {
      await inMesh(peer, server.peerId);
      await peer.publish(topics.handshake, data);
    } else {
      await peer.streamSend({ peerId: server.peerId, protocol: DIRECT, data });
    }
    await waitFor(async () => !(await peer.isConnectedTo(server.peerId)), { what: 'the end' });
    expect(await ended(server, 'other_prefix')).toBe(1);
    expect(await got(peer, 'verack')).toEqual([]);
    expect(await server.metric('teranode_p2p_offences_total')).toBe(0);
  });

  test('with a further prefix is accepted, and answered with the same prefix, both ways', async () => {
    const server = await startServer({ p2p_further_topic_prefixes: OLD_PREFIX });
    const oldTopic = `${OLD_PREFIX}-handshake`;
    const peer = await startPeer({ topics: [oldTopic] });
    await peer.handshake(says({ topicPrefix: OLD_PREFIX }, oldTopic));
    await peer.connect(server.address);
    await waitFor(async () => (await got(peer, 'verack')).length === 1, { what: 'our verack' });
    expect(await got(peer, 'verack')).toMatchObject([{ topicPrefix: OLD_PREFIX }]);
    expect(await accepted(server, 'version', 'stream')).toBe(1);
    expect(await peer.isConnectedTo(server.peerId)).toBe(true);
  });
});

describe('hostile direct streams', () => {
  test('that are silent, slow or of 10 MB end within seconds, without growing memory or delaying others', async () => {
    const server = await startServer();
    const peer = await startPeer({ streamProtocol: DIRECT });
    await peer.connect(server.address);
    const send = (stream: { data: string; pauseMs?: number; keepOpen?: boolean; repeat?: number }) =>
      peer.streamSend({ peerId: server.peerId, protocol: DIRECT, ...stream });
    const silent = () => send({ data: '', keepOpen: true });
    const slow = () => send({ data: 'x'.repeat(60), pauseMs: 1000, keepOpen: true });
    const large = () => send({ data: 'x'.repeat(100_000), repeat: 100 });
    await send({ data: '' });
    const before = server.memoryBytes();
    const ends = await Promise.all([silent(), slow(), large()]);
    for (const { ms, readError } of ends) {
      expect(readError).not.toBe('');
      expect(ms).toBeLessThan(10_000);
    }
    expect(ends[2]?.written).toBeLessThan(10_000_000);
    for (const outcome of ['timeout', 'too_large', 'empty'])
      expect(await ended(server, outcome)).toBeGreaterThanOrEqual(1);

    for (let round = 0; round < 20; round += 1) await Promise.all([large(), large(), large(), large()]);
    await Promise.all(Array.from({ length: 60 }, silent));
    expect(server.memoryBytes() - before).toBeLessThan(96 * MIB);

    const other = await member(server);
    await waitFor(async () => (await got(other, 'verack')).length === 1, { what: 'the verack for somebody else' });
    await send({ data: versionOf(peer) });
    await waitFor(async () => (await got(peer, 'verack')).length === 1, { what: 'the verack for the peer itself' });
    expect(await peer.isConnectedTo(server.peerId)).toBe(true);
  });

  test('with a version in another peer’s name penalize the sender', async () => {
    const server = await startServer();
    const victim = await member(server);
    const liar = await startPeer({ streamProtocol: DIRECT });
    await liar.connect(server.address);
    await liar.streamSend({
      peerId: server.peerId,
      protocol: DIRECT,
      data: versionOf(victim, { bestHeight: 4_000_000_000 }),
    });
    await waitFor(async () => (await ended(server, 'author_mismatch')) === 1, { what: 'the refusal' });
    expect(await server.metric('teranode_p2p_offences_total', 'rule="author_mismatch"')).toBe(1);
    expect(await got(liar, 'verack')).toEqual([]);
    expect(await victim.isConnectedTo(server.peerId)).toBe(true);
  });
});
