// A peer that comes through a circuit relay has no IP of its own here: its ban ends its connections alone, and leaves the
// relay and everybody else who comes through it.
import { multiaddr } from '@multiformats/multiaddr';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import { admin, bannedKeys } from '../support/admin.ts';
import { messageBus } from '../support/bus-network.ts';
import { BUS, bareLibp2p } from '../support/nodes.ts';
import { callPeerService } from '../support/peer-service-call.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

let server: ServerProcess;
let relay: TeranodeLibp2p;
const peers: TeranodeLibp2p[] = [];

async function startPeer(relayService = false): Promise<TeranodeLibp2p> {
  const libp2p = await bareLibp2p([], { ...BUS, nat: { ...BUS.nat, relayService } });
  await libp2p.start();
  peers.push(libp2p);
  return libp2p;
}

beforeAll(async () => {
  relay = await startPeer(true);
  server = await ServerProcess.start({
    settings: {
      ...messageBus('regtest'),
      p2p_enable_relay: 'true',
      p2p_force_reachability: 'private',
      p2p_static_peers: String(relay.getMultiaddrs()[0]),
    },
  });
});

afterAll(async () => {
  await server?.stop();
  await Promise.all(peers.map((peer) => peer.stop()));
});

const isConnected = (peer: TeranodeLibp2p) => peer.getPeers().some((id) => id.toString() === server.peerId);

/** Once the server has a reservation at the relay. */
async function connectThroughRelay(peer: TeranodeLibp2p): Promise<void> {
  const address = multiaddr(`${relay.getMultiaddrs()[0]}/p2p-circuit/p2p/${server.peerId}`);
  await waitFor(() => peer.dial(address), { timeoutMs: 60_000, what: 'the connection through the relay' });
}

async function peersOfServer(): Promise<readonly string[]> {
  const { body } = await server.get('/api/v1/peers');
  const { peers: all } = JSON.parse(body) as { peers: { peerId?: string; id?: string; connected?: boolean }[] };
  return all.filter(({ connected }) => connected !== false).map(({ peerId, id }) => peerId ?? id ?? '');
}

test.each([
  ['by the operator', (peerId: string) => admin(server, 'bans', 'add', peerId)],
  [
    'automatically',
    async (peerId: string) => {
      for (let i = 0; i < 2; i += 1) await callPeerService(server, 'addBanScore', { peerId, reason: 'spam' });
    },
  ],
])('a relayed peer that is banned %s is cut and refused, and nobody else is', async (_how, ban) => {
  const [peer, other] = [await startPeer(), await startPeer()];
  for (const each of [peer, other]) await connectThroughRelay(each);
  const id = peer.peerId.toString();
  await waitFor(async () => (await peersOfServer()).includes(id), { what: 'the peer at the server' });

  await ban(id);
  await waitFor(() => !isConnected(peer), { what: 'the cut' });
  expect(await bannedKeys(server)).toEqual([id]);
  const address = multiaddr(`${relay.getMultiaddrs()[0]}/p2p-circuit/p2p/${server.peerId}`);
  await peer.dial(address).catch(() => undefined);
  await waitFor(() => !isConnected(peer), { what: 'the refusal' });
  expect(await server.metric('teranode_p2p_connections_refused_total', 'reason="banned_peer"')).toBeGreaterThan(0);

  expect(isConnected(relay)).toBe(true);
  expect(isConnected(other)).toBe(true);
  expect(await peersOfServer()).toEqual(expect.arrayContaining([relay.peerId.toString(), other.peerId.toString()]));
  await connectThroughRelay(await startPeer());
  await admin(server, 'bans', 'clear', '--yes');
});
