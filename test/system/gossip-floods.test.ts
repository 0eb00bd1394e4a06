// A peer that floods the server with useless gossip as fast as it is read: announcements of all others still pass in
// time.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CountingHost } from '../support/false-dht.ts';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = topicsOf('regtest').subtree;
const GO = { psk: PSK, topics: allTopics('regtest') };
/** At 50 a second, as long as the flood. */
const COUNT = 400;
const SECONDS = 8;

/** What a flood may leave on the heap from its first half to its second. */
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;

const stops: (() => unknown)[] = [];
/** Where the peers are that the attacker names. */
let named: CountingHost;

beforeEach(() => {
  named = new CountingHost();
  stops.push(() => named.close());
});

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

/** The least that is used in either half of the flood: what a collection leaves. */
async function heapOf(server: ServerProcess, flood: Promise<unknown>): Promise<readonly [number, number]> {
  const heap: number[] = [];
  for (let isOver = false; !isOver; ) {
    heap.push(await server.metric('nodejs_heap_size_used_bytes'));
    const pause = new Promise<false>((resolve) => setTimeout(() => resolve(false), 200));
    isOver = await Promise.race([flood.then(() => true), pause]);
  }
  const half = Math.ceil(heap.length / 2);
  return [Math.min(...heap.slice(0, half)), Math.min(...heap.slice(half))];
}

test.each([
  ['bad_ed25519', 4000],
  ['bad_secp256k1', 4000],
  ['control', 4000],
] as const)('a flood of %s, %i per RPC, loses no announcement of honest peers', async (kind, perFrame) => {
  const server = await startServer();
  const [speaker, listener, attacker] = await Promise.all([goPeer(server), goPeer(server), goPeer(server)]);
  const px = `/ip4/127.0.0.9/tcp/${await named.listen('127.0.0.9')}`;
  const flood = attacker.flood({ address: server.address, topic: TOPIC, kind, perFrame, seconds: SECONDS, px });
  const heap = heapOf(server, flood);
  await speaker.publishMany({ topic: TOPIC, subtrees: COUNT, ratePerSecond: COUNT / SECONDS });
  expect((await flood).written).toBeGreaterThan(0);
  await waitFor(async () => (await listener.counts())[TOPIC] === COUNT, { what: 'all announcements' }).catch(
    async (cause) => {
      throw new Error(`${(await listener.counts())[TOPIC]} of ${COUNT} announcements`, { cause });
    },
  );
  const [first, second] = await heap;
  expect(second - first).toBeLessThan(MAX_GROWTH_BYTES);
  expect(named.connections).toBe(0);
  if (kind === 'bad_secp256k1') expect(await server.metric('teranode_p2p_gossip_unverified_total')).toBeGreaterThan(0);
});
