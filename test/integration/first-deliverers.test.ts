// Real nodes around one whose mesh is too large: links to most neighbours are slow, and one neighbour floods messages of
// its own. The slow ones lose their places, the ones that deliver first keep theirs, and the flood earns nothing.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, expect, test } from 'vitest';
import { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import type { Hash, PeerId } from '../../src/domain/ids.ts';
import { FirstDeliveries, MIN_EVIDENCE } from '../../src/peers/first-deliveries.ts';
import { Propagation } from '../../src/peers/propagation.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { BUS, bareLibp2p, nodeOptions, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const [TOPIC] = TOPICS as [string];
const HASH = 'ab'.repeat(32) as Hash;
const FAST = 3;
/** With the fast ones and the hostile one as many as a mesh may have. */
const SLOW = 8;
const LINK_DELAY_MS = 100;
/** Messages of the hostile neighbour for one of each author. */
const FLOOD = 20;
/** More than a mesh may have. */
const NEWCOMERS = 2;

const peers: TeranodeLibp2p[] = [];
const links: Server[] = [];
const sockets = new Set<Socket>();
let node: Libp2pNode | undefined;

afterEach(async () => {
  await node?.stop();
  await Promise.all(peers.splice(0).map((peer) => peer.stop()));
  for (const socket of sockets) socket.destroy();
  for (const link of links.splice(0)) link.close();
});

async function startPeer(): Promise<TeranodeLibp2p> {
  const peer = await bareLibp2p([TOPIC], BUS);
  peers.push(peer);
  await peer.start();
  peer.services.pubsub.subscribe(TOPIC);
  return peer;
}

const portOf = (peer: TeranodeLibp2p) => Number(peer.getMultiaddrs()[0]?.toString().split('/')[4]);

/** A link on which what the peer sends arrives late. Returns its port. */
async function slowLink(port: number): Promise<number> {
  const link = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.once('close', () => other.destroy());
    }
    client.pipe(upstream);
    upstream.on('data', (bytes) => setTimeout(() => client.write(bytes), LINK_DELAY_MS));
  });
  links.push(link);
  await new Promise<void>((resolve) => link.listen(0, '127.0.0.1', resolve));
  return (link.address() as { readonly port: number }).port;
}

/** A neighbour that forwards messages as any node does. */
async function neighbour(of: Libp2pNode, { isSlow }: { readonly isSlow: boolean }): Promise<TeranodeLibp2p> {
  const peer = await startPeer();
  const port = isSlow ? await slowLink(portOf(peer)) : portOf(peer);
  // On a busy machine a handshake may take longer than it may.
  await waitFor(async () => await of.connectPeer(`/ip4/127.0.0.1/tcp/${port}/p2p/${peer.peerId}`), {
    ...{ what: 'a connection to a neighbour', timeoutMs: 60_000 },
  });
  return peer;
}

test('slow neighbours lose their places in a mesh that is too large, and those that deliver first keep theirs', async () => {
  const deps = { log: recordingLogger(), metrics: new RecordedMetrics(), clock: systemClock, random: Math.random };
  const propagation = new Propagation(deps);
  const deliveries = new FirstDeliveries({ ...deps, propagation, isPenalized: () => false });
  const tested = new Libp2pNode({ ...deps, deliveries }, await nodeOptions({ ...BUS, prefersFirstDeliverers: true }));
  node = tested;
  let heardOfHostile = 0;
  tested.setTopicHandler(TOPIC, ({ receivedFrom, author, bytes }) => {
    if (receivedFrom === author) heardOfHostile += 1;
    // The flood leaves the others their place in the list of the latest.
    const type = bytes[0] === 'f'.charCodeAt(0) ? 'attribute_subtree' : 'attribute_block';
    deliveries.deliveredFirst({ type, hash: HASH, receivedFrom, author });
    return 'accept';
  });
  await tested.start(new AbortController().signal, undefined, [TOPIC]);
  const mesh = () => tested.getTopic(TOPIC)?.mesh() ?? [];

  const slow = await Promise.all(Array.from({ length: SLOW }, () => neighbour(tested, { isSlow: true })));
  await waitFor(() => mesh().length === SLOW, { what: 'the slow neighbours in the mesh', timeoutMs: 30_000 });
  const fast = await Promise.all(Array.from({ length: FAST }, () => neighbour(tested, { isSlow: false })));
  const hostile = await neighbour(tested, { isSlow: false });
  const hostileId = `${hostile.peerId}` as PeerId;
  await waitFor(() => mesh().length === SLOW + FAST + 1, { what: 'all neighbours in the mesh', timeoutMs: 30_000 });

  // Each author is a neighbour of one fast peer, and of two slow ones.
  const authors = await Promise.all(fast.map(() => startPeer()));
  for (const [i, author] of authors.entries())
    for (const peer of [fast[i], slow[2 * i], slow[2 * i + 1]])
      if (peer !== undefined) await author.dial(multiaddr(`/ip4/127.0.0.1/tcp/${portOf(peer)}/p2p/${peer.peerId}`));
  const hasAll = (author: TeranodeLibp2p) => author.services.pubsub.getSubscribers(TOPIC).length === 3;
  await waitFor(() => authors.every(hasAll), { what: 'the neighbours of the authors', timeoutMs: 30_000 });

  const fastIds = fast.map(({ peerId }) => `${peerId}` as PeerId);
  const slowIds = slow.map(({ peerId }) => `${peerId}` as PeerId);
  let sent = 0;
  await waitFor(
    async () => {
      sent += 1;
      for (let i = 0; i < FLOOD; i += 1)
        await hostile.services.pubsub.publish(TOPIC, Buffer.from(`flood ${sent} ${i}`));
      for (const author of authors) await author.services.pubsub.publish(TOPIC, Buffer.from(`message ${sent}`));
      const rows = deliveries.table();
      const firsts = rows.reduce((sum, { firstDeliveries }) => sum + firstDeliveries, 0);
      const isLate = (id: PeerId) => deliveries.standingOf(id)?.meanDelayMs !== undefined;
      const hasCopies = propagation.view().recent.some(({ kind, copyCount }) => kind === 'block' && copyCount > 0);
      return (
        hasCopies &&
        firsts >= 2 * MIN_EVIDENCE &&
        fastIds.every((id) => deliveries.preferenceOf(id) > 0) &&
        slowIds.some(isLate)
      );
    },
    { what: 'first deliveries of all fast neighbours', timeoutMs: 30_000 },
  );
  expect(heardOfHostile).toBeGreaterThan(FLOOD);
  expect([deliveries.standingOf(hostileId), deliveries.preferenceOf(hostileId)]).toEqual([undefined, 0]);
  // Later copies are listed with the messages that they are copies of.
  const { copies, p50Ms = -1, p99Ms, recent } = propagation.view();
  expect(copies).toBeGreaterThan(0);
  expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  for (const row of recent) expect(row.copies.map(({ peerId }) => peerId)).not.toContain(row.deliveredBy);
  const table = deliveries.table();
  expect(new Set(table.slice(0, FAST).map(({ peerId }) => peerId))).toEqual(new Set(fastIds));

  await Promise.all(Array.from({ length: NEWCOMERS }, () => neighbour(tested, { isSlow: true })));
  await waitFor(() => mesh().filter((id) => slowIds.includes(id)).length <= SLOW / 2, {
    what: 'the end of the mesh with slow neighbours',
    timeoutMs: 30_000,
  });
  expect(mesh()).toEqual(expect.arrayContaining(fastIds));
});
