// The best-block topic with Go peers on it: what we ask, what becomes of the answers, what we answer and how often.
import { afterEach, describe, expect, test } from 'vitest';
import { admin } from '../support/admin.ts';
import { GoPeer } from '../support/go-peer.ts';
import { DATA_HUB, PSK, privateNetwork } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = 'bitcoin/regtest-bestblock';
const SETTINGS = { ...privateNetwork('regtest'), asset_httpPublicAddress: DATA_HUB };
const GENESIS = '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206';
const SOME_HASH = '0b'.repeat(32);
/** wire.md: "at most one in 2 s, whoever asks". */
const LEAST_GAP_MS = 2000;

const running: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

async function startServer(settings: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings: { ...SETTINGS, ...settings } });
  running.push(server);
  return server;
}

/** A Go peer that joins this topic alone, connected, and in the mesh. */
async function listener(server: ServerProcess): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, topics: [TOPIC] });
  running.push(peer);
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).mesh[TOPIC]?.includes(server.peerId), {
    timeoutMs: 30_000,
    what: 'the mesh',
  });
  return peer;
}

/** What the server itself wrote on the topic. */
async function said(peer: GoPeer, server: ServerProcess): Promise<string[]> {
  return (await peer.received(TOPIC))
    .filter(({ author }) => author === server.peerId)
    .map(({ data }) => data.toString());
}

const requestOf = (peerId: string) => `{"PeerID":"${peerId}"}`;
const ANSWER = `{"Height":0,"Hash":"${GENESIS}"}`;

describe('best block', () => {
  test('is requested as soon as a peer subscribes, and its answer becomes what we know about that peer', async () => {
    const server = await startServer();
    const peer = await listener(server);
    await waitFor(async () => (await said(peer, server)).length > 0, { timeoutMs: 30_000, what: 'the request' });
    expect(await said(peer, server)).toEqual([requestOf(server.peerId)]);
    await peer.publish(TOPIC, `{"Height":7,"Hash":"${SOME_HASH}"}`);
    const known = await waitFor(
      async () => (await admin(server, 'peers', 'list')).find(({ id, height }) => id === peer.peerId && height === 7),
      { what: 'the height of the peer' },
    );
    expect(known).toMatchObject({ height: 7 });
  });

  test('is announced on request, at most once per 2 s for all peers', async () => {
    const server = await startServer();
    const [asking, other] = [await listener(server), await listener(server)];
    const answers = async () => (await said(other, server)).filter((text) => text !== requestOf(server.peerId));
    await asking.publish(TOPIC, requestOf(asking.peerId));
    await waitFor(async () => (await answers()).length > 0, { what: 'the answer' });
    expect(await answers()).toEqual([ANSWER]);

    const startedMs = performance.now();
    await waitFor(
      async () => {
        for (const peer of [asking, other]) await peer.publish(TOPIC, requestOf(peer.peerId));
        return (await answers()).length >= 4;
      },
      { timeoutMs: 60_000, what: 'three more answers' },
    );
    const all = await answers();
    expect(new Set(all)).toEqual(new Set([ANSWER]));
    // Three gaps at least between the first and the fourth, the first of them begun before the clock was started.
    expect(performance.now() - startedMs).toBeGreaterThan(2 * LEAST_GAP_MS);
    expect(all.length).toBeLessThanOrEqual(2 + (performance.now() - startedMs) / LEAST_GAP_MS);
    expect(await server.metric('teranode_p2p_announcements_total', 'kind="best_block_request"')).toBe(1);
  });

  test('is neither requested nor announced by a listen_only node', async () => {
    const server = await startServer({ listen_mode: 'listen_only' });
    const peer = await listener(server);
    await peer.publish(TOPIC, requestOf(peer.peerId));
    const kept = (kind: string) =>
      server.metric('teranode_p2p_announcements_total', `kind="${kind}"`, 'outcome="suppressed"');
    await waitFor(async () => (await kept('best_block')) === 1 && (await kept('best_block_request')) === 1, {
      timeoutMs: 30_000,
      what: 'what is kept back',
    });
    // Another peer's message takes the same way, later.
    const another = await listener(server);
    await another.publish(TOPIC, requestOf(another.peerId));
    await waitFor(async () => (await peer.received(TOPIC)).some(({ author }) => author === another.peerId), {
      what: 'the message of another',
    });
    expect(await said(peer, server)).toEqual([]);
  });
});
