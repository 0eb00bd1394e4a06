// A peer that floods the server with useless gossip as fast as it is read: announcements of all others still pass in
// time.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { busSubtree, messageBus } from '../support/bus-network.ts';
import { CountingHost } from '../support/false-dht.ts';
import { busTopics } from '../support/go-bus.ts';
import { GoPeer } from '../support/go-peer.ts';
import { GoScored } from '../support/go-scored.ts';
import { allTopics, PSK, privateNetwork, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

/** Of a wire: the topic of the announcements, settings of the server, and of the peer that floods. */
const WIRES = {
  'go-p2p': {
    topic: topicsOf('regtest').subtree,
    settings: privateNetwork('regtest'),
    go: { psk: PSK, topics: allTopics('regtest') },
  },
  'message-bus': {
    topic: busTopics('regtest').subtree,
    settings: messageBus('regtest'),
    go: { topics: Object.values(busTopics('regtest')) },
  },
} as const;
type Wire = keyof typeof WIRES;
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

async function startServer(wire: Wire): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings: WIRES[wire].settings });
  stops.push(() => server.stop());
  return server;
}

async function meshed<P extends GoPeer | GoScored>(peer: P, server: ServerProcess, topic: string): Promise<P> {
  stops.push(() => peer.stop());
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).mesh[topic]?.includes(server.peerId), { what: 'the mesh' });
  return peer;
}

async function goPeer(server: ServerProcess, wire: Wire): Promise<GoPeer> {
  const { go, topic } = WIRES[wire];
  return meshed(await GoPeer.start({ ...go, allow: [server.peerId] }), server, topic);
}

/** Says so many subtrees in the time of the flood. */
async function speaker(server: ServerProcess, wire: Wire): Promise<() => Promise<unknown>> {
  const { topic } = WIRES[wire];
  const job = { topic, ratePerSecond: COUNT / SECONDS };
  if (wire === 'go-p2p') {
    const peer = await goPeer(server, wire);
    return () => peer.publishMany({ ...job, subtrees: COUNT });
  }
  const peer = await meshed(await GoScored.start({ network: 'regtest', topics: [topic] }), server, topic);
  const template = JSON.stringify({ ...busSubtree(peer.peerId), Hash: '{HASH}' });
  return () => peer.publishMany({ ...job, template, count: COUNT });
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
  ['go-p2p', 'bad_ed25519', 4000],
  ['go-p2p', 'bad_secp256k1', 4000],
  ['go-p2p', 'control', 4000],
  ['message-bus', 'control', 4000],
] as const)('on %s a flood of %s, %i per RPC, loses no announcement of honest peers', async (wire, kind, perFrame) => {
  const server = await startServer(wire);
  const { topic } = WIRES[wire];
  const peers = [goPeer(server, wire), goPeer(server, wire)] as const;
  const [speak, listener, attacker] = await Promise.all([speaker(server, wire), ...peers]);
  const px = `/ip4/127.0.0.9/tcp/${await named.listen('127.0.0.9')}`;
  const flood = attacker.flood({ address: server.address, topic, kind, perFrame, seconds: SECONDS, px });
  const heap = heapOf(server, flood);
  await speak();
  expect((await flood).written).toBeGreaterThan(0);
  await waitFor(async () => (await listener.counts())[topic] === COUNT, { what: 'all announcements' }).catch(
    async (cause) => {
      throw new Error(`${(await listener.counts())[topic]} of ${COUNT} announcements`, { cause });
    },
  );
  const [first, second] = await heap;
  expect(second - first).toBeLessThan(MAX_GROWTH_BYTES);
  expect(named.connections).toBe(0);
  if (kind === 'bad_secp256k1') expect(await server.metric('teranode_p2p_gossip_unverified_total')).toBeGreaterThan(0);
});
