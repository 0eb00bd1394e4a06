// How peers of message-bus find each other: through our node as their only bootstrap peer, our nodes through a Go peer,
// and through the DHT. The time to the first message is printed, not asserted.
import { describe, expect, onTestFinished, test } from 'vitest';
import { waitForConnections } from '../support/bus-connections.ts';
import { busSubtree, messageBus } from '../support/bus-network.ts';
import { busTopics, GoBus, type GoBusOptions } from '../support/go-bus.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = busTopics('regtest');
/** Go asks for the addresses of authors every 15 s, and dials bootstrap peers again every 5 s. */
const TIMEOUT_MS = 120_000;

async function startServer(settings: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.start({ settings: { ...messageBus('regtest'), ...settings } });
  onTestFinished(async () => void (await server.stop()));
  return server;
}

/**
 * Peers that start together ask and dial together, for a peer once only: a dial that fails on both sides because both dial
 * from their ports would never be made again.
 */
async function startBus(options: GoBusOptions): Promise<GoBus> {
  const peer = await GoBus.start({ network: 'regtest', dialsFromItsPort: false, ...options });
  onTestFinished(() => peer.stop());
  return peer;
}

function addressRequests(server: ServerProcess) {
  return (outcome: string) => server.metric('teranode_p2p_address_requests_total', `outcome="${outcome}"`);
}

/** Announces a subtree until the end of the test: who joins later hears of it too. */
function keepAnnouncing(peer: GoBus): void {
  const announce = () => peer.publish(topics.subtree, busSubtree(peer.peerId)).catch(() => undefined);
  const timer = setInterval(announce, 1000);
  onTestFinished(() => clearInterval(timer));
}

/** Milliseconds until the peer has heard one of the author's messages. */
async function firstMessageMs(peer: GoBus, author: string, sinceMs: number): Promise<number> {
  const heard = async () => (await peer.received(topics.subtree)).some((message) => message.author === author);
  await waitFor(heard, { timeoutMs: TIMEOUT_MS, what: 'a message' });
  return Math.round(performance.now() - sinceMs);
}

describe('with the DHT off', () => {
  test('five Go peers whose only bootstrap peer is our node learn each other’s addresses from it and connect', async () => {
    const server = await startServer();
    const startedMs = performance.now();
    const peers = await Promise.all(
      Array.from({ length: 5 }, (_each, i) => startBus({ name: `bus ${i}`, bootstrapPeers: [server.address] })),
    );
    for (const peer of peers) keepAnnouncing(peer);
    const [first, second] = peers;
    if (first === undefined || second === undefined) throw new Error('no peers');
    console.log('first message through our node after ms', await firstMessageMs(first, second.peerId, startedMs));
    await waitForConnections(peers, addressRequests(server), TIMEOUT_MS);
    const answered = await server.metric('teranode_p2p_address_requests_total');
    expect(answered).toBeGreaterThan(0);
  });

  test('two of our nodes find a Go peer through another Go peer', async () => {
    const hub = await startBus({ name: 'hub' });
    const target = await startBus({ name: 'target', bootstrapPeers: [hub.address] });
    keepAnnouncing(target);
    const ours = await Promise.all([1, 2].map(() => startServer({ p2p_bootstrap_peers: hub.address })));
    for (const server of ours) {
      await waitFor(() => target.isConnectedTo(server.peerId), { timeoutMs: TIMEOUT_MS, what: 'our node at the peer' });
    }
  });
});

test('two Go peers and one of our nodes meet through our node as DHT server', async () => {
  const server = await startServer({ p2p_dht_mode: 'server' });
  const other = await startServer({ p2p_dht_mode: 'client', p2p_bootstrap_peers: server.address });
  const options = { dhtMode: 'server', bootstrapPeers: [server.address] } as const;
  const [first, second] = await Promise.all([startBus(options), startBus(options)]);
  await waitForConnections([first, second], addressRequests(server), TIMEOUT_MS);
  for (const peer of [first, second])
    await waitFor(() => peer.isConnectedTo(other.peerId), { timeoutMs: TIMEOUT_MS, what: 'our other node' });
});
