// What peers can do to gossip streams: a peer that resets its stream hears us again, peers that never answer delay
// nobody.
import { afterEach, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, subtreeFields, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = topicsOf('regtest').subtree;
const GO = { psk: PSK, topics: allTopics('regtest') };
/** At 10 s each, one after the other, the last would wait for minutes. */
const SILENT = 30;
/** Hosts that leave an RPC of 1 MiB unfinished on each of so many streams. */
const UNFINISHED = { hosts: 10, streams: 30 };
const MIB = 1024 * 1024;

const stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function goPeer(server: ServerProcess): Promise<GoPeer> {
  const peer = await GoPeer.start({ ...GO, allow: [server.peerId] });
  stops.push(() => peer.stop());
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).mesh[TOPIC]?.includes(server.peerId), { what: 'the mesh' });
  return peer;
}

async function startServer(): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings: privateNetwork('regtest') });
  stops.push(() => server.stop());
  return server;
}

/** Publishes until one arrives at the other side of the server. */
async function hears(listener: GoPeer, speaker: GoPeer, what: string): Promise<void> {
  const before = (await listener.counts())[TOPIC] ?? 0;
  await waitFor(
    async () => {
      await speaker.publish(TOPIC, JSON.stringify(subtreeFields(speaker.peerId)));
      await new Promise((resolve) => setTimeout(resolve, 200));
      return ((await listener.counts())[TOPIC] ?? 0) > before;
    },
    { what },
  );
}

test('a Go peer that resets our gossip stream hears us again on the same connection', async () => {
  const server = await startServer();
  const speaker = await goPeer(server);
  const listener = await goPeer(server);
  await hears(listener, speaker, 'the first announcement');
  const before = (await listener.connections()).map(({ address }) => address);
  for (let round = 1; round <= 2; round += 1) {
    expect(await listener.resetGossip(server.peerId)).toBeGreaterThan(0);
    await waitFor(
      async () => (await server.metric('teranode_p2p_gossip_streams_reopened_total', 'outcome="opened"')) >= round,
      { what: 'the new stream' },
    );
    await hears(listener, speaker, 'an announcement after the reset');
  }
  expect((await listener.connections()).map(({ address }) => address)).toEqual(before);
});

test('peers that never answer on a gossip stream delay no other peer', async () => {
  const server = await startServer();
  const speaker = await goPeer(server);
  await speaker.silentGossip({ address: server.address, count: SILENT });
  await waitFor(async () => (await server.metric('teranode_p2p_connected_peers')) === SILENT + 1, {
    what: 'the silent peers',
  });
  const listener = await goPeer(server);
  await hears(listener, speaker, 'an announcement among silent peers');
  await waitFor(async () => (await server.metric('teranode_p2p_gossip_streams_missing')) === SILENT, {
    what: 'the missing streams',
  });
  await speaker.stop();
  await waitFor(async () => (await server.metric('gossipsub_cache_size', 'cache="score"')) === 1, {
    what: 'disconnected peers to be forgotten',
  });
});

test('reads only the newest gossip stream of a peer and frees unfinished RPCs of its older ones', async () => {
  const server = await startServer();
  const attacker = await goPeer(server);
  const flood = () =>
    attacker.flood({
      address: server.address,
      topic: TOPIC,
      kind: 'unfinished',
      frames: 1,
      streams: UNFINISHED.streams,
    });
  expect(await flood()).toEqual({ written: UNFINISHED.streams });
  const before = server.memoryBytes();
  for (let i = 0; i < UNFINISHED.hosts; i += 1) expect(await flood()).toEqual({ written: UNFINISHED.streams });
  const all = UNFINISHED.hosts * UNFINISHED.streams * MIB;
  expect(server.memoryBytes() - before).toBeLessThan(all / 2);
  const [speaker, listener] = [await goPeer(server), await goPeer(server)];
  await hears(listener, speaker, 'an announcement after all that');
});
