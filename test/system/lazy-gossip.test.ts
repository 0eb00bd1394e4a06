// A peer outside of our mesh asks for missed messages every second. At a high rate they are more than one RPC may
// carry.
import { afterEach, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = topicsOf('regtest').subtree;
/** Below the 5,000 message IDs of one IHAVE, so that all of them are named. */
const COUNT = 4000;
/** At 1 KiB each, the messages asked for in any second are far beyond 1 MiB. */
const TEMPLATE = JSON.stringify({
  Hash: 'ab'.repeat(32),
  DataHubURL: `https://datahub.example/${'x'.repeat(900)}`,
  PeerID: 'PEER_ID',
});
/** The queue of a Go peer to each other peer; its default of 32 would lose messages on a busy machine. */
const QUEUES = { validateQueue: 16_384, outboundQueue: 16_384 };

const stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

test('a Go peer outside of the mesh gets megabytes per second through IWANT and keeps its stream', async () => {
  const lazy = await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), noMesh: true, ...QUEUES });
  stops.push(() => lazy.stop());
  const server = await ServerProcess.start({
    settings: { ...privateNetwork('regtest'), p2p_static_peers: lazy.addresses[0] ?? '', p2p_author_rate: '0' },
  });
  stops.push(() => server.stop());
  const publisher = await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), ...QUEUES });
  stops.push(() => publisher.stop());
  await publisher.connect(server.address);
  await waitFor(async () => (await publisher.mesh()).mesh[TOPIC]?.includes(server.peerId), { what: 'the mesh' });
  await waitFor(async () => (await lazy.mesh()).subscribers[TOPIC]?.includes(server.peerId), { what: 'the lazy peer' });
  const before = (await lazy.connections()).filter(({ peerId }) => peerId === server.peerId);

  await publisher.publishAs({ topic: TOPIC, template: TEMPLATE, count: COUNT, ratePerSecond: COUNT });
  await waitFor(
    async () => (await server.metric('teranode_p2p_gossip_messages_total', 'reason="processed"')) >= COUNT,
    {
      timeoutMs: 60_000,
      what: 'all messages at the server',
    },
  );
  await waitFor(async () => ((await lazy.counts())[TOPIC] ?? 0) >= COUNT, {
    timeoutMs: 30_000,
    what: 'all messages at the lazy peer',
  }).catch(async (cause) => {
    throw new Error(`${(await lazy.counts())[TOPIC]} of ${COUNT} at the lazy peer`, { cause });
  });
  expect((await lazy.mesh()).mesh[TOPIC] ?? []).toEqual([]);
  const after = (await lazy.connections()).filter(({ peerId }) => peerId === server.peerId);
  expect(after.map(({ address }) => address)).toEqual(before.map(({ address }) => address));
});
