// The P2P node and Go peers of the message-bus wire: security, gossip versions, addresses, the DHT, and what a peer that
// scores its neighbours thinks of it.
import { join } from 'node:path';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { afterEach, describe, expect, test } from 'vitest';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import type { Libp2pNodeOptions } from '../../src/adapters/libp2p/node-options.ts';
import type { GossipMessage } from '../../src/ports/p2p-node.ts';
import { waitForConnections } from '../support/bus-connections.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { type BusPeer, busTopics, GoBus, type GoBusOptions } from '../support/go-bus.ts';
import { ADDRESS_1_0, ADDRESS_1_1, GoScored, type GoScoredOptions } from '../support/go-scored.ts';
import { addressOf, BUS, makeNode } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const TOPICS = busTopics();
const ALL_TOPICS = Object.values(TOPICS);
const parts: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  await Promise.all(parts.splice(0).map((part) => part.stop()));
});

/** Our node, and the messages that reached it. */
async function ours(changes: Partial<Libp2pNodeOptions> = {}) {
  const { node, metrics } = await makeNode({ ...BUS, ...changes });
  parts.push(node);
  const heard: GossipMessage[] = [];
  for (const topic of ALL_TOPICS) {
    node.setTopicHandler(topic, (message) => {
      heard.push(message);
      return 'accept';
    });
  }
  await node.start(new AbortController().signal, undefined, ALL_TOPICS);
  return { node, metrics, heard, id: node.hostId(), address: addressOf(node) };
}

type Ours = Awaited<ReturnType<typeof ours>>;

async function bus(options: GoBusOptions = {}): Promise<GoBus> {
  const peer = await GoBus.start(options);
  parts.push(peer);
  return peer;
}

async function scored(options: GoScoredOptions = {}): Promise<GoScored> {
  const peer = await GoScored.start(options);
  parts.push(peer);
  return peer;
}

/** Waits until each is in the mesh of the other on all four topics. */
async function meshed(own: Ours, peer: BusPeer): Promise<void> {
  const isOnOurSide = () => ALL_TOPICS.every((topic) => meshOf(own.node, topic).includes(peer.peerId));
  const isOnTheirSide = async () => {
    const { mesh } = await peer.mesh();
    return ALL_TOPICS.every((topic) => mesh[topic]?.includes(own.id));
  };
  await waitFor(async () => isOnOurSide() && (await isOnTheirSide()), { what: 'the mesh with a Go peer' });
}

function meshOf(node: Libp2pNode, topic: string): readonly string[] {
  return node.getTopic(topic)?.mesh() ?? [];
}

const connectedIds = ({ node }: Ours): readonly string[] => node.currentlyConnectedPeers().map(({ id }) => id);

/** In an envelope, with the node's own name. */
function envelope(inner: object): Buffer {
  const data = Buffer.from(JSON.stringify(inner)).toString('base64');
  return Buffer.from(JSON.stringify({ name: 'ours', data }));
}

describe('gossip with a Go peer of the message-bus wire', () => {
  test.each(['tls', 'noise'] as const)('runs on meshsub 1.3 in both directions over %s', async (security) => {
    const [own, peer] = await Promise.all([ours(), scored({ security })]);
    await peer.connect(own.address);
    await meshed(own, peer);
    expect((await peer.rpcs(own.id)).protocol).toBe('/meshsub/1.3.0');
    expect(await peer.identify(own.id)).toMatchObject({
      security: security === 'tls' ? '/tls/1.0.0' : '/noise',
      muxer: '/yamux/1.0.0',
      protocolVersion: '/teranode/bitcoin/mainnet/1.0.0',
    });
    await own.node.publish(TOPICS.block, envelope({ Hash: '01' }));
    await peer.publish(TOPICS.subtree, { Hash: '02' });
    await waitFor(async () => (await peer.received()).length === 1, { what: 'our message' });
    await waitFor(() => own.heard.length === 1, { what: 'the message of the Go peer' });
    expect((await peer.received())[0]).toMatchObject({
      topic: TOPICS.block,
      text: '{"Hash":"01"}',
      author: own.id,
      name: 'ours',
      signatureBytes: 64,
      hasKey: false,
    });
    expect(own.heard[0]).toMatchObject({ topic: TOPICS.subtree, author: peer.peerId, receivedFrom: peer.peerId });
  });

  test.each([
    ['tls', 'ours'],
    ['tls', 'theirs'],
    ['noise', 'ours'],
  ] as const)('carries the largest messages both ways over %s, dialled by %s', async (security, dialler) => {
    const [own, peer] = await Promise.all([ours(), scored({ security })]);
    if (dialler === 'theirs') await peer.connect(own.address);
    else await own.node.connectPeer(peer.addresses[0] ?? '');
    await meshed(own, peer);
    const connections = await peer.connections();
    expect(connections).toMatchObject([{ direction: dialler === 'ours' ? 'inbound' : 'outbound' }]);
    // With base64 in the envelope just below 1 MiB.
    const inner = { Hash: 'x'.repeat(780_000) };
    await own.node.publish(TOPICS.block, envelope(inner));
    await peer.publish(TOPICS.subtree, inner);
    await waitFor(async () => (await peer.received()).length === 1, { what: 'our message' });
    await waitFor(() => own.heard.length === 1, { what: 'the message of the Go peer' });
    expect((await peer.received())[0]?.text).toBe(JSON.stringify(inner));
    const { data } = JSON.parse(Buffer.from(own.heard[0]?.bytes ?? []).toString()) as { readonly data: string };
    expect(Buffer.from(data, 'base64').toString()).toBe(JSON.stringify(inner));
  });

  test('carries back-offs and IDONTWANT on meshsub 1.3, and no extensions', async () => {
    const own = await ours();
    const [peer, source] = await Promise.all([scored(), scored()]);
    for (const each of [peer, source]) await each.connect(own.address);
    for (const each of [peer, source]) await meshed(own, each);
    await source.publish(TOPICS.block, { Hash: 'ab'.repeat(2000) });
    await waitFor(async () => ((await peer.rpcs(own.id)).received.counts.idontwant ?? 0) > 0, { what: 'an IDONTWANT' });
    await peer.control({ peerId: own.id, prune: [TOPICS.block] });
    await waitFor(() => !meshOf(own.node, TOPICS.block).includes(peer.peerId), { what: 'the pruned mesh' });
    await peer.control({ peerId: own.id, graft: [TOPICS.block] });
    const prunes = async () => (await peer.rpcs(own.id)).received.frames.flatMap(({ prune }) => prune ?? []);
    await waitFor(async () => (await prunes()).length > 0, { what: 'our PRUNE' });
    expect((await prunes())[0]).toEqual({ topic: TOPICS.block, backoffSeconds: 60, peers: 0 });
    const { frames } = (await peer.rpcs(own.id)).received;
    expect(frames.some(({ extensions }) => extensions === true)).toBe(false);
  });

  test('goes on from one bus peer through us to another', async () => {
    const own = await ours();
    const peers = [await bus({ bootstrapPeers: [own.address] }), await bus({ bootstrapPeers: [own.address] })] as const;
    for (const peer of peers) await meshed(own, peer);
    const [a, b] = peers;
    await a.publishMany({ topic: TOPICS.block, template: '{"Hash":"{HASH}"}', count: 100, ratePerSecond: 200 });
    await waitFor(async () => (await b.received(TOPICS.block)).length >= 100, { what: '100 messages' });
    const received = await b.received(TOPICS.block);
    expect(new Set(received.map(({ text }) => text)).size).toBe(100);
    expect(new Set(received.map(({ author }) => author))).toEqual(new Set([a.peerId]));
  });
});

describe('the address protocol with Go peers', () => {
  test('is served in both versions, with and without a half close', async () => {
    const [own, far, peer] = await Promise.all([ours(), bus(), scored()]);
    await far.connect(own.address);
    await peer.connect(own.address);
    await waitFor(() => own.node.currentlyConnectedPeers().every(({ agentVersion }) => agentVersion !== undefined), {
      what: 'the addresses of both',
    });
    const known = JSON.stringify([far.address.replace(/\/p2p\/.*/, '')]);
    const ask = (how: object) => peer.requestAddresses({ peerId: own.id, text: far.peerId, ...how });
    for (const how of [
      {},
      { readOnce: true },
      { halfClose: true },
      { halfClose: true, protocols: [ADDRESS_1_1, ADDRESS_1_0] },
    ])
      expect(await ask(how)).toMatchObject({ text: known, error: '' });
    expect(await ask({ text: 'nobody', halfClose: true })).toMatchObject({ text: '' });
  });

  test.each([
    ['1.1.0', [ADDRESS_1_1, ADDRESS_1_0], true],
    ['1.0.0', [ADDRESS_1_0], false],
  ] as const)(
    'of version %s tells us where an author is, and we connect to it',
    async (_version, protocols, readToEnd) => {
      const [own, far, hub] = await Promise.all([ours(), bus(), scored()]);
      await hub.answerAddressRequests({ protocols, readToEnd, addresses: { [far.peerId]: [far.address] } });
      await Promise.all([hub.connect(own.address), hub.connect(far.address)]);
      await meshed(own, hub);
      await waitFor(async () => (await far.mesh()).mesh[TOPICS.block]?.includes(hub.peerId), { what: 'the far mesh' });
      await far.publish(TOPICS.block, { Hash: '01' });
      await waitFor(() => connectedIds(own).includes(far.peerId), { timeoutMs: 40_000, what: 'the direct connection' });
      const [request] = await hub.addressRequests();
      expect(request).toMatchObject({ peerId: own.id, protocol: protocols[0], text: far.peerId });
      if (readToEnd) expect(request?.ended).toBe(true);
    },
  );

  test('lets us find a bus peer through another bus peer', async () => {
    const [hub, far] = await Promise.all([bus(), bus()]);
    const pair = [await ours({ staticPeers: [hub.address] }), await ours({ staticPeers: [hub.address] })];
    await far.connect(hub.address);
    for (const own of pair) await meshed(own, hub);
    await waitFor(async () => (await hub.mesh()).mesh[TOPICS.block]?.includes(far.peerId), { what: 'the far mesh' });
    await far.publish(TOPICS.block, { Hash: '01' });
    for (const own of pair)
      await waitFor(() => connectedIds(own).includes(far.peerId), { timeoutMs: 40_000, what: 'the direct connection' });
  });

  test('lets five bus peers without a DHT, whose only bootstrap peer is ours, connect to each other', async () => {
    const own = await ours();
    const five = await Promise.all(
      Array.from({ length: 5 }, (_each, i) =>
        // They dial each other together, and never again.
        bus({ name: `bus ${i}`, bootstrapPeers: [own.address], dialsFromItsPort: false }),
      ),
    );
    for (const peer of five) await meshed(own, peer);
    await Promise.all(five.map((peer) => peer.publish(TOPICS.nodeStatus, { peer_id: peer.peerId })));
    const requests = (outcome: string) => own.metrics.count('teranode_p2p_address_requests_total', { outcome });
    await waitForConnections(five, requests, 60_000);
    expect(requests('failed')).toBe(0);
  });
});

describe('the DHT with Go peers of the message-bus wire', () => {
  test.each(['server', 'client'] as const)('lets two bus peers meet, and us as %s find one', async (role) => {
    const server = await ours({ dht: { ...BUS.dht, role: 'server' } });
    const peers = [
      await bus({ dhtMode: 'server', bootstrapPeers: [server.address] }),
      await bus({ dhtMode: 'server', bootstrapPeers: [server.address] }),
    ] as const;
    const [a, b] = peers;
    await waitFor(() => a.isConnectedTo(b.peerId), { timeoutMs: 90_000, what: 'the meeting of the bus peers' });
    const own = await ours({ dht: { ...BUS.dht, role }, bootstrapAddresses: [server.address] });
    const isFound = () => connectedIds(own).includes(a.peerId) && connectedIds(own).includes(b.peerId);
    await waitFor(isFound, { timeoutMs: 60_000, what: 'both bus peers at ours' });
  });
});

describe('the score that a Go peer gives us', () => {
  test('stays zero through PRUNEs on every topic and a restart', async () => {
    const key = {
      privateKey: await generateKeyPair('Ed25519'),
      graftBackoffFile: join(temporaryFolder('backoffs'), 'backoffs.json'),
    };
    const judge = await scored();
    const first = await ours(key);
    await judge.connect(first.address);
    await meshed(first, judge);
    for (const topic of ALL_TOPICS) {
      await judge.control({ peerId: first.id, prune: [topic] });
      await waitFor(() => !meshOf(first.node, topic).includes(judge.peerId), { what: 'the pruned mesh' });
    }
    await first.node.stop();
    await waitFor(async () => !(await judge.isConnectedTo(first.id)), { what: 'the end of the connection' });
    const second = await ours(key);
    await judge.connect(second.address);
    const subscribed = async () => (await judge.mesh()).subscribers[TOPICS.block]?.includes(second.id);
    await waitFor(subscribed, { what: 'our subscription' });
    const { inspections } = await judge.scores();
    await waitFor(async () => (await judge.scores()).inspections >= inspections + 3, { what: 'three inspections' });
    expect((await judge.scores()).peers[second.id]).toMatchObject({ score: 0, lowest: 0, highestPenalty: 0 });
    expect((await judge.rpcs(second.id)).received.counts.frames).toBeGreaterThan(0);
  });

  test.each([
    ['message-bus', {}],
    ['go-p2p', { protocols: 'go-p2p', addressRequests: false, expandDnsaddr: false }],
  ] as const)(
    'stays zero on %s after it pruned us: no GRAFT, no new connection, and every message',
    async (_wire, changes) => {
      const [own, judge, source] = await Promise.all([ours(changes), scored(), scored()]);
      for (const peer of [judge, source]) {
        await peer.connect(own.address);
        await meshed(own, peer);
      }
      await judge.control({ peerId: own.id, prune: ALL_TOPICS });
      await waitFor(() => ALL_TOPICS.every((topic) => !meshOf(own.node, topic).includes(judge.peerId)), {
        what: 'the pruned mesh',
      });
      const grafts = async () => (await judge.rpcs(own.id)).received.counts.graft ?? 0;
      const before = await grafts();
      const [since] = own.node
        .currentlyConnectedPeers()
        .flatMap(({ id, connectedAtMs }) => (id === judge.peerId ? connectedAtMs : []));
      const job = { template: '{"Hash":"{HASH}"}', count: 50, ratePerSecond: 10 };
      await source.publishMany({ topic: TOPICS.block, ...job });
      await judge.publishMany({ topic: TOPICS.subtree, ...job });
      await waitFor(async () => (await judge.counts())[TOPICS.block] === job.count, {
        what: 'all messages at the judge',
      });
      await waitFor(async () => (await source.counts())[TOPICS.subtree] === job.count, { what: 'all of the judge' });
      expect(await grafts()).toBe(before);
      const [record] = own.node.currentlyConnectedPeers().filter(({ id }) => id === judge.peerId);
      expect(record).toMatchObject({ connectedAtMs: since });
      expect((await judge.scores()).peers[own.id]).toMatchObject({ score: 0, lowest: 0, highestPenalty: 0 });
    },
  );

  test('stays zero at a peer that lists us as a direct peer, which hears every message all the same', async () => {
    const own = await ours();
    const judge = await scored({ directPeers: [own.address] });
    const source = await scored();
    await source.connect(own.address);
    await meshed(own, source);
    await waitFor(() => connectedIds(own).includes(judge.peerId), { what: 'the connection' });
    await waitFor(async () => (await judge.mesh()).subscribers[TOPICS.block]?.includes(own.id), { what: 'our topics' });
    await waitFor(async () => ((await judge.rpcs(own.id)).sent.counts.prune ?? 0) > 0, { what: 'a refused GRAFT' });
    await source.publishMany({ topic: TOPICS.block, template: '{"Hash":"{HASH}"}', count: 500, ratePerSecond: 250 });
    await waitFor(async () => (await judge.counts())[TOPICS.block] === 500, { what: 'all messages' });
    // We forward at once to a peer that refuses our GRAFTs; otherwise it would have to ask for most messages by IWANT.
    const { sent, received } = await judge.rpcs(own.id);
    expect(received.counts.graft ?? 0).toBeGreaterThan(0);
    expect(sent.counts.iwant ?? 0).toBeLessThan(250);
    await judge.publish(TOPICS.subtree, { Hash: '01' });
    await waitFor(async () => (await source.received(TOPICS.subtree)).length === 1, {
      what: 'the message of the judge',
    });
    const { inspections } = await judge.scores();
    await waitFor(async () => (await judge.scores()).inspections >= inspections + 3, { what: 'three inspections' });
    expect((await judge.scores()).peers[own.id]).toMatchObject({ score: 0, lowest: 0, highestPenalty: 0 });
  });

  test('stays zero while we serve what it asks for by IWANT', async () => {
    const [own, judge] = await Promise.all([ours(), scored()]);
    await judge.connect(own.address);
    await meshed(own, judge);
    // Outside of the mesh it learns of messages by IHAVE only. After its own GRAFT no PRUNE is the answer to ours.
    await judge.control({ peerId: own.id, graft: ALL_TOPICS });
    await judge.control({ peerId: own.id, prune: ALL_TOPICS });
    await waitFor(() => ALL_TOPICS.every((topic) => !meshOf(own.node, topic).includes(judge.peerId)), {
      what: 'the pruned mesh',
    });
    const source = await scored();
    await source.connect(own.address);
    await meshed(own, source);
    await source.publishMany({ topic: TOPICS.subtree, template: '{"Hash":"{HASH}"}', count: 2000, ratePerSecond: 500 });
    await waitFor(async () => (await judge.counts())[TOPICS.subtree] === 2000, {
      timeoutMs: 40_000,
      what: 'all of them',
    });
    const { inspections } = await judge.scores();
    await waitFor(async () => (await judge.scores()).inspections >= inspections + 4, { what: 'four inspections' });
    expect((await judge.rpcs(own.id)).sent.counts.iwant ?? 0).toBeGreaterThan(1000);
    expect((await judge.scores()).peers[own.id]).toMatchObject({ score: 0, lowest: 0, highestPenalty: 0 });
  });
});
