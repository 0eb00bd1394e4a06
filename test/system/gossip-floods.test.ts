// A peer that floods the server with useless gossip as fast as it is read: announcements of all others still pass in
// time.
import { afterEach, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = topicsOf('regtest').subtree;
const GO = { psk: PSK, topics: allTopics('regtest') };
/** At 50 a second, as long as the flood. */
const COUNT = 400;
const SECONDS = 8;

const stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function startServer(): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings: privateNetwork('regtest') });
  stops.push(() => server.stop());
  return server;
}

async function goPeer(server: ServerProcess): Promise<GoPeer> {
  const peer = await GoPeer.start({ ...GO, allow: [server.peerId] });
  stops.push(() => peer.stop());
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).mesh[TOPIC]?.includes(server.peerId), { what: 'the mesh' });
  return peer;
}

test.each([
  ['bad_ed25519', 4000],
  ['bad_secp256k1', 4000],
  ['graft_prune', 4000],
] as const)('a flood of %s, %i per RPC, loses no announcement of honest peers', async (kind, perFrame) => {
  const server = await startServer();
  const [speaker, listener, attacker] = await Promise.all([goPeer(server), goPeer(server), goPeer(server)]);
  const flood = attacker.flood({ address: server.address, topic: TOPIC, kind, perFrame, seconds: SECONDS });
  await speaker.publishMany({ topic: TOPIC, subtrees: COUNT, ratePerSecond: COUNT / SECONDS });
  expect((await flood).written).toBeGreaterThan(0);
  await waitFor(async () => (await listener.counts())[TOPIC] === COUNT, { what: 'all announcements' }).catch(
    async (cause) => {
      throw new Error(`${(await listener.counts())[TOPIC]} of ${COUNT} announcements`, { cause });
    },
  );
  if (kind === 'bad_secp256k1') expect(await server.metric('teranode_p2p_gossip_unverified_total')).toBeGreaterThan(0);
});
