// Peers in our mesh that read nothing: the bytes that wait for them are bounded, and all other peers get every message.
import { afterEach, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = topicsOf('regtest').subtree;
/** The most that a mesh has. */
const DEAF = 12;
const COUNT = 3000;
/** Below the largest announcement that is read: all of them fill the buffer of one peer. */
const TEMPLATE = JSON.stringify({
  Hash: 'ab'.repeat(32),
  DataHubURL: 'https://datahub.example/api/v1',
  PeerID: 'PEER_ID',
  Padding: 'x'.repeat(7000),
});
const QUEUES = { validateQueue: 16_384, outboundQueue: 16_384 };

const stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function goPeer(server: ServerProcess): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), allow: [server.peerId], ...QUEUES });
  stops.push(() => peer.stop());
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).subscribers[TOPIC]?.includes(server.peerId), { what: 'the stream' });
  return peer;
}

test('bytes waiting for peers that do not read are bounded, and all other peers get every message', async () => {
  const server = await ServerProcess.start({ settings: privateNetwork('regtest') });
  stops.push(() => server.stop());
  const [publisher, listener] = [await goPeer(server), await goPeer(server)];
  await publisher.deafGossip({ address: server.address, topic: TOPIC, count: DEAF });
  await publisher.publishAs({ topic: TOPIC, template: TEMPLATE, count: COUNT, ratePerSecond: 300 });
  await waitFor(async () => (await server.metric('teranode_p2p_gossip_streams_dropped_total')) > 0, {
    timeoutMs: 60_000,
    what: 'a dropped stream',
  });
  await waitFor(async () => (await listener.counts())[TOPIC] === COUNT, {
    timeoutMs: 60_000,
    what: 'all announcements',
  });
  const bound = await server.metric('teranode_p2p_gossip_unsent_bytes_bound');
  expect(await server.metric('teranode_p2p_gossip_unsent_bytes ')).toBeLessThanOrEqual(bound);
  expect(await server.metric('teranode_p2p_connected_peers')).toBe(DEAF + 2);
});
