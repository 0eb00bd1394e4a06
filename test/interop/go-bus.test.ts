// Go peers of the message-bus wire among themselves: what the tests of our server rely on when they use them.
import { afterEach, describe, expect, test } from 'vitest';
import { busTopics, GoBus, type GoBusOptions } from '../support/go-bus.ts';
import { waitFor } from '../support/wait.ts';

const TOPICS = busTopics();
const peers: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  await Promise.all(peers.splice(0).map((peer) => peer.stop()));
});

async function bus(options: GoBusOptions = {}): Promise<GoBus> {
  const peer = await GoBus.start(options);
  peers.push(peer);
  return peer;
}

/** Waits until each is in the mesh of the other on all four topics. */
async function meshed(a: GoBus, b: GoBus): Promise<void> {
  const has = async (one: GoBus, other: GoBus) => {
    const { mesh } = await one.mesh();
    return Object.values(TOPICS).every((topic) => mesh[topic]?.includes(other.peerId));
  };
  await waitFor(async () => (await has(a, b)) && (await has(b, a)), { what: 'the mesh of two bus peers' });
}

describe('two bus peers', () => {
  test('exchange the four topics through the library, each message once', async () => {
    const a = await bus({ name: 'A' });
    const b = await bus({ name: 'B', bootstrapPeers: [a.address] });
    await meshed(a, b);
    for (const topic of Object.values(TOPICS)) {
      await a.publishMany({ topic, template: '{"Hash":"{HASH}","PeerID":"{PEER_ID}"}', count: 25, ratePerSecond: 200 });
    }
    await waitFor(async () => Object.values(await b.counts()).reduce((sum, n) => sum + n, 0) === 100, {
      what: '100 messages',
    });
    const received = await b.received();
    expect(new Set(received.map(({ text }) => text)).size).toBe(100);
    expect(new Set(received.map(({ author, name }) => `${author} ${name}`))).toEqual(new Set([`${a.peerId} A`]));
    await b.publish(TOPICS.block, { Hash: 'ff' });
    await waitFor(async () => (await a.received(TOPICS.block)).some(({ text }) => text === '{"Hash":"ff"}'), {
      what: "B's block at A",
    });
    expect(await a.peers()).toMatchObject([{ peerId: b.peerId, name: 'B' }]);
  });
});

describe('a bus peer', () => {
  test('refuses to start without a bootstrap peer', async () => {
    await expect(bus({ bootstrapPeers: [] })).rejects.toThrow('no bootstrap peers');
  });
});
