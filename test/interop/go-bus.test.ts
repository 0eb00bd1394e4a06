// Go peers of the message-bus wire among themselves: what the tests of our server rely on when they use them, and that they
// do on the wire what a Teranode server was recorded to do.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { type BusPeer, busTopics, GoBus, type GoBusOptions } from '../support/go-bus.ts';
import { ADDRESS_1_0, ADDRESS_1_1, GoScored, type GoScoredOptions } from '../support/go-scored.ts';
import { freePort } from '../support/kafka-broker.ts';
import { dataJson } from '../support/recorded.ts';
import { waitFor } from '../support/wait.ts';

const TOPICS = busTopics();
const ALL_TOPICS = Object.values(TOPICS);
/** Seed and public key. */
const RAW_KEY = `${'01'.repeat(32)}8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c`;
const peers: BusPeer[] = [];

afterEach(async () => {
  await Promise.all(peers.splice(0).map((peer) => peer.stop()));
});

async function bus(options: GoBusOptions = {}): Promise<GoBus> {
  const peer = await GoBus.start(options);
  peers.push(peer);
  return peer;
}

async function scored(options: GoScoredOptions = {}): Promise<GoScored> {
  const peer = await GoScored.start(options);
  peers.push(peer);
  return peer;
}

/** Waits until each is in the mesh of the other on all four topics. */
async function meshed(a: BusPeer, b: BusPeer): Promise<void> {
  const has = async (one: BusPeer, other: BusPeer) => {
    const { mesh } = await one.mesh();
    return ALL_TOPICS.every((topic) => mesh[topic]?.includes(other.peerId));
  };
  await waitFor(async () => (await has(a, b)) && (await has(b, a)), { what: 'the mesh of two peers' });
}

async function heardAtLeast(peer: BusPeer, count: number): Promise<void> {
  const sum = async () => Object.values(await peer.counts()).reduce((total, n) => total + n, 0);
  await waitFor(async () => (await sum()) >= count, { what: `${count} messages` });
}

interface Recorded {
  readonly messages: readonly { topic: string; author: string; envelope_text: string; pubsub_message_hex: string }[];
}

const RECORDED = ['block', 'subtree', 'rejected_tx', 'node_status'].map(
  (name) => dataJson<Recorded>(`today/${name}.json`).messages[0],
);

describe('two bus peers', () => {
  test('exchange the four topics, each message once', async () => {
    const a = await bus({ name: 'A' });
    const b = await bus({ name: 'B', bootstrapPeers: [a.address] });
    await meshed(a, b);
    for (const topic of ALL_TOPICS) {
      await a.publishMany({ topic, template: '{"Hash":"{HASH}","PeerID":"{PEER_ID}"}', count: 25, ratePerSecond: 50 });
    }
    await heardAtLeast(b, 100);
    const received = await b.received();
    expect(new Set(received.map(({ text }) => text)).size).toBe(100);
    expect(received).toHaveLength(100);
    expect(new Set(received.map(({ author, name }) => `${author} ${name}`))).toEqual(new Set([`${a.peerId} A`]));
    await b.publishMany({ topic: TOPICS.block, texts: ['{"Hash":"ff"}'], ratePerSecond: 0 });
    await heardAtLeast(a, 1);
    expect(await a.received()).toMatchObject([{ topic: TOPICS.block, text: '{"Hash":"ff"}', name: 'B' }]);
    expect(await a.peers()).toMatchObject([{ peerId: b.peerId, name: 'B' }]);
    expect(await b.publishStatus()).toMatchObject({ running: 0, published: 1, failed: 0 });
  });

  test('learn from a third which address the author of a message has, and connect', async () => {
    const middle = await bus();
    const [a, b] = await Promise.all([1, 2].map(() => bus({ bootstrapPeers: [middle.address] })));
    if (a === undefined || b === undefined) throw new Error('no peers');
    await Promise.all([meshed(a, middle), meshed(b, middle)]);
    expect(await a.isConnectedTo(b.peerId)).toBe(false);
    await a.publish(TOPICS.block, { Hash: 'aa' });
    await heardAtLeast(b, 1);
    await waitFor(() => b.isConnectedTo(a.peerId), { timeoutMs: 40_000, what: 'the direct connection' });
    const [connection] = (await b.connections()).filter(({ peerId }) => peerId === a.peerId);
    expect(`${connection?.address}/p2p/${a.peerId}`).toBe(a.address);
  });

  test('meet through a DHT server', async () => {
    const middle = await bus({ dhtMode: 'server' });
    const [a, b] = await Promise.all([1, 2].map(() => bus({ dhtMode: 'server', bootstrapPeers: [middle.address] })));
    if (a === undefined || b === undefined) throw new Error('no peers');
    await waitFor(() => a.isConnectedTo(b.peerId), { timeoutMs: 60_000, what: 'the direct connection' });
  });
});

describe('a bus peer', () => {
  test('refuses to start without a bootstrap peer', async () => {
    await expect(bus({ bootstrapPeers: [] })).rejects.toThrow('no bootstrap peers');
  });

  test('refuses to start where another program has its port of IPv4', async () => {
    const other = createServer().listen(await freePort(), '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await expect(bus({ port })).rejects.toThrow(`does not listen on port ${port} of IPv4`);
  });

  test('has the identity of the given key, in both forms of its text', async () => {
    const raw = `${'01'.repeat(32)}8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c`;
    const ids = await Promise.all(
      [raw, `08011240${raw}`].map(async (privateKey) => (await bus({ privateKey })).peerId),
    );
    expect(ids).toEqual(Array(2).fill('12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'));
  });

  test('says of itself what a Teranode server was recorded to say', async () => {
    const { dialled_by_a_raw_peer: recorded } = dataJson<{ dht_off: { dialled_by_a_raw_peer: object[] } }>(
      'today/identify.json',
    ).dht_off;
    const [identity] = recorded as [{ protocolVersion: string; protocols: string[]; security: string; muxer: string }];
    const [a, probe] = await Promise.all([bus(), scored()]);
    await probe.connect(a.address);
    const told = await probe.identify(a.peerId);
    expect(told.protocols.toSorted()).toEqual(identity.protocols);
    expect(told).toMatchObject({
      protocolVersion: identity.protocolVersion,
      security: identity.security,
      muxer: identity.muxer,
      listen: [a.address.replace(/\/p2p\/.*/, '')],
    });
  });

  test.each(['tls', 'noise'] as const)('speaks %s, subscribes to four topics and grafts them', async (security) => {
    const [a, probe] = await Promise.all([bus(), scored({ security })]);
    await probe.connect(a.address);
    await meshed(a, probe);
    const { received, protocol } = await probe.rpcs(a.peerId);
    expect(protocol).toBe('/meshsub/1.3.0');
    expect(received.frames.flatMap(({ subscribe }) => subscribe ?? []).toSorted()).toEqual(ALL_TOPICS.toSorted());
    expect(await probe.identify(a.peerId)).toMatchObject({ security: security === 'tls' ? '/tls/1.0.0' : '/noise' });
  });

  test('writes envelopes and gossip messages in the recorded form', async () => {
    const [a, probe] = await Promise.all([bus({ name: 'A' }), scored()]);
    await probe.connect(a.address);
    await meshed(a, probe);
    for (const recorded of RECORDED) {
      const { data } = JSON.parse(recorded?.envelope_text ?? '') as { data: string };
      await a.publish(recorded?.topic ?? '', Buffer.from(data, 'base64').toString());
    }
    await heardAtLeast(probe, RECORDED.length);
    const received = await probe.received();
    const sorted = (texts: (string | undefined)[]) => texts.toSorted();
    expect(sorted(received.map(({ data }) => data.toString()))).toEqual(
      sorted(RECORDED.map((each) => each?.envelope_text)),
    );
    for (const each of received) {
      expect(each).toMatchObject({ author: a.peerId, neighbour: a.peerId, signatureBytes: 64, hasKey: false });
      expect(each.seqno).toMatch(/^[0-9a-f]{16}$/);
    }
  });

  test('mutes an author after five malformed messages, and hears others', async () => {
    const [a, probe] = await Promise.all([bus(), scored()]);
    await probe.connect(a.address);
    await meshed(a, probe);
    for (const data of ['1', '2', '3', '4', '5']) await probe.publishRaw(TOPICS.block, data);
    await waitFor(async () => (await a.mutedAuthors()).length > 0, { what: 'the muted author' });
    expect(await a.mutedAuthors()).toEqual([probe.peerId]);
    await probe.publish(TOPICS.block, { Hash: '01' });
    const template = '{"Hash":"{HASH}","PeerID":"{PEER_ID}"}';
    const others = await probe.publishAs({ topic: TOPICS.block, template, count: 3, ratePerSecond: 0 });
    await heardAtLeast(a, 3);
    expect((await a.received()).map(({ author }) => author).toSorted()).toEqual(others.toSorted());
  });

  test('counts without keeping when asked to, like a scoring peer', async () => {
    const a = await bus({ name: 'A' });
    const counters = await Promise.all([
      bus({ discard: true, bootstrapPeers: [a.address] }),
      scored({ discard: true }),
    ]);
    await counters[1].connect(a.address);
    await Promise.all(counters.map((counter) => meshed(a, counter)));
    const template = '{"DataHubURL":"http://127.0.0.1/t={TIME_NS}","Hash":"{HASH}"}';
    await a.publishMany({ topic: TOPICS.subtree, template, count: 500, ratePerSecond: 1000 });
    for (const counter of counters) {
      await heardAtLeast(counter, 500);
      expect(await counter.received()).toEqual([]);
      expect((await counter.rusage()).cpuMicros).toBeGreaterThan(0);
    }
    expect((await counters[0].stats()).p50Ms).toBeGreaterThan(0);
  });

  test('comes back under its identity and finds its neighbors in its peer cache', async () => {
    const a = await bus();
    const peerCacheFile = join(temporaryFolder('go-bus-cache'), 'p2p_peers.json');
    const before = await bus({ peerCacheFile, privateKey: RAW_KEY });
    await before.connect(a.address);
    // The library saves its neighbors half a second after each connection, those that have told their topics by then.
    const read = () => {
      const text = readFileSync(peerCacheFile, 'utf8');
      return JSON.stringify(JSON.parse(text)).includes(a.peerId) && text;
    };
    let saved: string | undefined;
    for (let visits = 0; visits < 10 && saved === undefined; visits += 1) {
      saved = await waitFor(read, { timeoutMs: 3000, what: 'the peer cache' }).catch(() => undefined);
      if (saved === undefined) await bus({ bootstrapPeers: [before.address] });
    }
    await before.stop();
    // Once for each topic, at the same time: the stop may have come between emptying the file and writing it.
    writeFileSync(peerCacheFile, saved ?? '');
    const after = await bus({ peerCacheFile, privateKey: RAW_KEY });
    await waitFor(() => after.isConnectedTo(a.peerId), { what: 'the connection from the cache' });
    expect(after.peerId).toBe(before.peerId);
  });
});

describe('the address protocol of a bus peer', () => {
  test('answers 1.0.0 after one read, with the addresses it knows or none, and does not speak 1.1.0', async () => {
    const [a, b, probe] = await Promise.all([bus(), bus(), scored()]);
    await b.connect(a.address);
    await probe.connect(a.address);
    await waitFor(async () => (await a.identify(b.peerId)).listen.length > 0, { what: "B's addresses at A" });
    const ask = (text: string, how: object = {}) => probe.requestAddresses({ peerId: a.peerId, text, ...how });
    const known = JSON.stringify([b.address.replace(/\/p2p\/.*/, '')]);
    expect(await ask(b.peerId)).toMatchObject({ text: known, error: '' });
    expect(await ask(b.peerId, { halfClose: true, readOnce: true })).toMatchObject({ text: known, error: '' });
    expect(await ask('12D3KooWNbr4ciPyc8GUAPmaxEHn6xYD8QMfX2fdcT8o5URJ5fXH')).toMatchObject({ text: '[]' });
    expect(await ask('x'.repeat(300))).toMatchObject({ text: '' });
    await expect(ask(b.peerId, { protocols: [ADDRESS_1_1] })).rejects.toThrow('protocols not supported');
  });

  test('asks for the author of a message and dials the address in the answer', async () => {
    const [a, far] = await Promise.all([bus(), bus()]);
    const probe = await scored();
    await probe.answerAddressRequests({
      protocols: [ADDRESS_1_0],
      addresses: { [far.peerId]: [far.address] },
    });
    await Promise.all([probe.connect(a.address), probe.connect(far.address)]);
    await Promise.all([meshed(a, probe), meshed(far, probe)]);
    await far.publish(TOPICS.block, { Hash: '02' });
    await waitFor(() => a.isConnectedTo(far.peerId), { timeoutMs: 40_000, what: 'the direct connection' });
    expect(await probe.addressRequests()).toContainEqual({
      peerId: a.peerId,
      protocol: ADDRESS_1_0,
      text: far.peerId,
      ended: false,
    });
  });
});

describe('a scoring peer', () => {
  test('gives a bus peer a score of zero after it pruned it, and after it left a topic and joined it again', async () => {
    const [a, probe] = await Promise.all([bus(), scored()]);
    await probe.connect(a.address);
    await meshed(a, probe);
    await probe.control({ peerId: a.peerId, prune: [TOPICS.block] });
    await waitFor(async () => (await a.mesh()).mesh[TOPICS.block]?.length === 0, { what: 'the pruned mesh' });
    await probe.leave(TOPICS.subtree);
    await waitFor(async () => (await a.mesh()).subscribers[TOPICS.subtree]?.length === 0, { what: 'the left topic' });
    await probe.join(TOPICS.subtree);
    await waitFor(async () => (await a.mesh()).subscribers[TOPICS.subtree]?.length === 1, { what: 'the joined topic' });
    await probe.forgetScores();
    await waitFor(async () => (await probe.scores()).inspections >= 3, { what: 'three inspections' });
    expect((await probe.scores()).peers[a.peerId]).toEqual({
      score: 0,
      lowest: 0,
      behaviourPenalty: 0,
      highestPenalty: 0,
      ipColocationFactor: 0,
      appSpecificScore: 0,
    });
    const { sent } = await probe.rpcs(a.peerId);
    const prunes = sent.frames.flatMap(({ prune }) => prune ?? []);
    expect(prunes.map(({ topic, backoffSeconds }) => [topic, backoffSeconds])).toEqual([
      [TOPICS.block, 60],
      [TOPICS.subtree, 10],
    ]);
  });

  test('punishes GRAFTs inside the back-off, and not that peers share a loopback address', async () => {
    const [judge, grafter] = await Promise.all([scored(), scored()]);
    await grafter.connect(judge.address);
    await meshed(judge, grafter);
    await judge.control({ peerId: grafter.peerId, prune: [TOPICS.block] });
    await waitFor(async () => (await grafter.mesh()).mesh[TOPICS.block]?.length === 0, { what: 'the pruned mesh' });
    for (let i = 0; i < 10; i++) await grafter.control({ peerId: judge.peerId, graft: [TOPICS.block] });
    const scoreOf = async (id: string) => (await judge.scores()).peers[id];
    await waitFor(async () => ((await scoreOf(grafter.peerId))?.score ?? 0) < 0, { what: 'the penalty' });
    expect((await judge.rpcs(grafter.peerId)).received.counts.graft).toBeGreaterThanOrEqual(10);
    const address = { address: judge.address, topics: [TOPICS.block], perAddress: 12 };
    const ids = await grafter.crowd({ ...address, count: 12 });
    await waitFor(async () => (await scoreOf(ids.at(-1) ?? '')) !== undefined, { what: 'the scores of all' });
    const addresses = (await judge.connections())
      .filter(({ peerId }) => ids.includes(peerId))
      .map((each) => each.address);
    expect(new Set(addresses.map((text) => text.split('/')[2]))).toEqual(new Set(['127.0.1.1']));
    expect(await scoreOf(ids[0] ?? '')).toMatchObject({ score: 0, lowest: 0, ipColocationFactor: 0 });
  });

  test('has a crowd of authors whose messages each arrive', async () => {
    const [a, probe] = await Promise.all([bus(), scored()]);
    const ids = await probe.crowd({ address: a.address, count: 12, topics: ALL_TOPICS });
    await waitFor(async () => (await a.mesh()).subscribers[TOPICS.block]?.length === 12, { what: 'the crowd' });
    const template = '{"Hash":"{HASH}","PeerID":"{PEER_ID}"}';
    await waitFor(
      async () => {
        await probe.crowdPublish({ topic: TOPICS.block, template, perMember: 1, ratePerSecond: 100 });
        return new Set((await a.received()).map(({ author }) => author)).size === 12;
      },
      { what: 'a message of each' },
    );
    expect((await a.received()).every(({ author, text }) => text.includes(author))).toBe(true);
    await probe.crowdPublish({ topic: TOPICS.block, data: ['{', Buffer.of(0xff)], perMember: 5, ratePerSecond: 200 });
    await waitFor(async () => (await a.mutedAuthors()).length === 12, { what: 'all muted' });
    expect((await a.mutedAuthors()).toSorted()).toEqual(ids.toSorted());
  });
});
