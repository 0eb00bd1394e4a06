// A peer that says to have addresses without end: the server keeps a few and goes on.
import { afterEach, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, subtreeFields, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = topicsOf('regtest').subtree;
const PROTOCOL = '/teranode/kad/1.0.0';
/** Of 10 bytes each: what a rate lets through, and all that a message of the DHT may hold. */
const ADDRESSES = [20_000, 400_000];
const TIMES = 4;

const stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function goPeer(server: ServerProcess): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest') });
  stops.push(() => peer.stop());
  await peer.connect(server.address);
  return peer;
}

test.each(ADDRESSES)('%i addresses in each of several messages', async (addresses) => {
  const server = await ServerProcess.start({ settings: privateNetwork('regtest') });
  stops.push(() => server.kill());
  const liar = await goPeer(server);
  const peer = await goPeer(server);
  const job = { peerId: server.peerId, protocol: PROTOCOL, addresses, times: TIMES };
  await liar.manyAddresses(job).catch(() => 'cut off');
  await waitFor(
    async () => {
      await peer.publish(TOPIC, JSON.stringify(subtreeFields(peer.peerId)));
      await new Promise((resolve) => setTimeout(resolve, 100));
      return (await server.metric('teranode_p2p_gossip_messages_total')) > 0;
    },
    { what: 'a message of somebody else', timeoutMs: 30_000 },
  );
  const left = await server.metric('teranode_p2p_peer_fields_cut_total', 'field="addresses"');
  const ended = await server.metric('teranode_p2p_dht_streams_ended_total', 'direction="in"');
  expect(left + ended).toBeGreaterThan(0);
  expect(await peer.isConnectedTo(server.peerId)).toBe(true);
});
