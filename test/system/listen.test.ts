// The listener of the library against real Go peers of both wires.
import { expect, onTestFinished, test } from 'vitest';
import { listen } from '../../src/library/listener.ts';
import { busBlock, busSubtree } from '../support/bus-network.ts';
import { busTopics, GoBus } from '../support/go-bus.ts';
import { GoPeer } from '../support/go-peer.ts';
import { type Listening, startListening } from '../support/listening.ts';
import {
  allTopics,
  blockFields,
  DATA_HUB,
  headerHash,
  mainnetHeaders,
  PSK,
  subtreeFields,
  topicsOf,
} from '../support/network.ts';
import { dataJson, recordedTexts } from '../support/recorded.ts';
import { waitFor } from '../support/wait.ts';

const [, first, second] = mainnetHeaders() as [Buffer, Buffer, Buffer];
const TX_ID = 'ab'.repeat(32);

async function startBus(): Promise<GoBus> {
  const bus = await GoBus.start({ name: 'miner' });
  onTestFinished(() => bus.stop());
  return bus;
}

async function joined(peer: GoBus | GoPeer, listening: Listening, topics: readonly string[]): Promise<void> {
  for (const topic of topics)
    await waitFor(async () => (await peer.mesh()).mesh[topic]?.includes(listening.ready.peerId), {
      what: `the mesh of ${topic}`,
    });
}

test('every announcement of a message-bus node becomes a typed event with its author and its propagation source', async () => {
  const bus = await startBus();
  const listening = await startListening('mainnet', { bootstrapPeers: [bus.address], allowPrivateIps: true });
  const { listener } = listening;
  const topics = busTopics();
  await joined(bus, listening, Object.values(topics));
  const subtree = busSubtree(bus.peerId, 'miner');
  await bus.publish(topics.block, busBlock(first, 1, bus.peerId, 'miner'));
  await bus.publish(topics.subtree, subtree);
  await bus.publish(topics.rejectedTx, { TxID: TX_ID, Reason: 'too low a fee', PeerID: bus.peerId });
  const { messages } = dataJson<{ messages: { payload_text: string }[] }>('today/node_status.json');
  const status = JSON.parse(messages[0]?.payload_text ?? '');
  await bus.publish(topics.nodeStatus, { ...status, peer_id: bus.peerId, client_name: 'miner', base_url: DATA_HUB });

  const common = { author: bus.peerId, receivedFrom: bus.peerId, atMs: expect.any(Number) };
  expect(await listening.first('peer')).toMatchObject({ state: 'connected', peerId: bus.peerId });
  expect(await listening.first('block')).toEqual({
    type: 'block',
    hash: headerHash(first),
    height: 1,
    header: new Uint8Array(first),
    dataHubUrl: DATA_HUB,
    clientName: 'miner',
    ...common,
  });
  expect(await listening.first('subtree')).toEqual({
    type: 'subtree',
    hash: subtree.Hash,
    dataHubUrl: DATA_HUB,
    clientName: 'miner',
    ...common,
  });
  expect(await listening.first('rejected_tx')).toEqual({
    type: 'rejected_tx',
    txId: TX_ID,
    reason: 'too low a fee',
    ...common,
  });
  expect(await listening.first('node_status')).toMatchObject({
    status: { baseUrl: DATA_HUB, clientName: 'miner', version: status.version, bestHeight: status.best_height },
    ...common,
  });
  expect(listener.stats()).toMatchObject({
    received: { block: 1, subtree: 1, rejected_tx: 1, node_status: 1 },
    lost: 0,
    connectedPeers: 1,
  });
  await bus.stop();
  await listening.first('peer', ({ state }) => state === 'disconnected');
});

test('messages that the validators refuse are dropped and counted by reason', async () => {
  const bus = await startBus();
  const listening = await startListening('mainnet', { bootstrapPeers: [bus.address], allowPrivateIps: true });
  const topics = busTopics();
  await joined(bus, listening, Object.values(topics));
  const block = busBlock(first, 1, bus.peerId);
  await bus.publish(topics.block, { ...block, Hash: headerHash(second) });
  await bus.publish(topics.block, 'no JSON');
  await bus.publish(topics.block, { ...block, PeerID: '12D3KooWBCKN3eYmMbJKvnkTuwxh9mWfQvcwpq8py2jk9MsFjT1a' });
  await bus.publish(topics.subtree, { ...busSubtree(bus.peerId), DataHubURL: 'ftp://example.org' });
  await bus.publish(topics.block, block);
  await bus.publish(topics.block, block);
  await waitFor(() => listening.listener.stats().dropped.duplicate === 1, { what: 'the repetition' });
  expect(listening.of('block').map(({ hash }) => hash)).toEqual([block.Hash]);
  expect(listening.of('subtree')).toEqual([]);
  expect(listening.listener.stats().dropped).toMatchObject({
    header_mismatch: 1,
    not_json: 1,
    author_mismatch: 1,
    datahub_url: 1,
  });
});

test('a listener of the older wire joins a private network by its shared key and yields its announcements', async () => {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet') });
  onTestFinished(() => peer.stop());
  const bootstrapPeers = [peer.addresses.find((address) => address.includes('/127.0.0.1/')) ?? ''];
  const options = { wire: 'go-p2p', sharedKey: PSK, bootstrapPeers, allowPrivateIps: true } as const;
  const listening = await startListening('mainnet', options);
  const topics = topicsOf('mainnet');
  const { handshake: _none, ...joinedTopics } = topics;
  await joined(peer, listening, Object.values(joinedTopics));
  const block = blockFields(first, 1, peer.peerId);
  const [status = ''] = recordedTexts('teranode-node_status.json');
  await peer.publish(topics.block, JSON.stringify(block));
  await peer.publish(topics.subtree, JSON.stringify(subtreeFields(peer.peerId)));
  await peer.publish(topics.rejectedTx, JSON.stringify({ TxID: TX_ID, Reason: 'spent', PeerID: peer.peerId }));
  await peer.publish(topics.nodeStatus, JSON.stringify({ ...JSON.parse(status), peer_id: peer.peerId }));
  const [miningOn = ''] = recordedTexts('teranode-miningon.json');
  await peer.publish(topics.miningOn, JSON.stringify({ ...JSON.parse(miningOn), PeerID: peer.peerId }));
  await peer.publish(topics.block, '{"Hash":"00"}');

  const common = { author: peer.peerId, receivedFrom: peer.peerId };
  expect(await listening.first('block')).toMatchObject({
    hash: block.Hash,
    height: 1,
    header: new Uint8Array(first),
    ...common,
  });
  expect(await listening.first('subtree')).toMatchObject(common);
  expect(await listening.first('rejected_tx')).toMatchObject({ txId: TX_ID, reason: 'spent', ...common });
  expect(await listening.first('node_status')).toMatchObject({ status: { bestHeight: 2 }, ...common });
  expect(await listening.first('mining_on')).toMatchObject(common);
  await waitFor(() => listening.listener.stats().dropped.hash_form === 1, { what: 'the malformed block' });
  expect((await listening.first('peer')).peerId).toBe(peer.peerId);
});

test('a listener reaches a peer that speaks TLS alone, and one that speaks Noise alone', async () => {
  for (const security of ['tls', 'noise'] as const) {
    const peer = await GoPeer.start({ security, topics: allTopics('mainnet') });
    onTestFinished(() => peer.stop());
    const bootstrapPeers = [peer.addresses.find((address) => address.includes('/127.0.0.1/')) ?? ''];
    const listening = await startListening('mainnet', { wire: 'go-p2p', bootstrapPeers, allowPrivateIps: true });
    await joined(peer, listening, [topicsOf('mainnet').subtree]);
    await peer.publish(topicsOf('mainnet').subtree, JSON.stringify(subtreeFields(peer.peerId)));
    expect(await listening.first('subtree')).toMatchObject({ author: peer.peerId });
  }
});

test('without the shared key a listener of the older wire meets nobody', async () => {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet') });
  onTestFinished(() => peer.stop());
  const bootstrapPeers = [peer.addresses.find((address) => address.includes('/127.0.0.1/')) ?? ''];
  const listening = await startListening('mainnet', { wire: 'go-p2p', bootstrapPeers, allowPrivateIps: true });
  await expect(listening.listener.connect(bootstrapPeers[0] ?? '')).rejects.toThrow(/shared key/);
  expect(listening.events).toEqual([]);
});

test('a reader that stops loses the oldest events above the bound, and is told how many before it reads on', async () => {
  const bus = await startBus();
  const listener = listen('mainnet', { bootstrapPeers: [bus.address], allowPrivateIps: true, maxQueuedEvents: 10 });
  onTestFinished(() => listener.close());
  const { peerId } = await listener.ready;
  const topics = busTopics();
  await waitFor(async () => (await bus.mesh()).mesh[topics.subtree]?.includes(peerId), { what: 'the mesh' });
  const sent = Array.from({ length: 25 }, () => busSubtree(bus.peerId));
  for (const each of sent) await bus.publish(topics.subtree, each);
  await waitFor(() => listener.stats().received.subtree === 25, { what: 'all subtrees' });
  // The event of the connection is the first to be dropped.
  expect(listener.stats()).toMatchObject({ queued: 10, lost: 16 });
  const events = listener[Symbol.asyncIterator]();
  expect((await events.next()).value).toMatchObject({ type: 'lost', count: 16, byType: { peer: 1, subtree: 15 } });
  const read: unknown[] = [];
  for (let i = 0; i < 10; i += 1) read.push((await events.next()).value);
  expect(read).toMatchObject(sent.slice(15).map(({ Hash }) => ({ type: 'subtree', hash: Hash })));
  expect(listener.stats()).toMatchObject({ queued: 0, lost: 16 });
});

test('a feed that falls silent while its peer stays connected is told once, with its topic', async () => {
  const bus = await startBus();
  const listening = await startListening('mainnet', {
    bootstrapPeers: [bus.address],
    allowPrivateIps: true,
    silentAfterMs: { block: 200 },
  });
  await joined(bus, listening, Object.values(busTopics()));
  const silent = await listening.first('silent');
  expect(silent).toMatchObject({ topic: 'block', connectedPeers: 1 });
  await bus.publish(busTopics().block, busBlock(first, 1, bus.peerId));
  const { atMs } = await listening.first('block');
  await waitFor(() => listening.of('silent').length === 2, { what: 'the second silence' });
  // Two clocks are read one after the other.
  expect(listening.of('silent')[1]?.sinceMs).toBeGreaterThan(atMs - 100);
});
