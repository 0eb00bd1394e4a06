// Who opens more connections than there are places: those who were there stay, newcomers of other addresses come in,
// and what the server itself dials always has room.
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { allTopics, PSK, privateNetwork, subtreeFields, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const GO = { psk: PSK, topics: allTopics('regtest') };
const HIGH_WATER = 20;
/** Twice the high-water mark and 64. */
const HARD_LIMIT = 104;
const HONEST = 10;

const stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function goPeer(options: Partial<Parameters<typeof GoPeer.start>[0]> = {}): Promise<GoPeer> {
  const peer = await GoPeer.start({ ...GO, ...options });
  stops.push(() => peer.stop());
  return peer;
}

async function startServer(gracePeriod: string, staticPeer = ''): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    settings: {
      ...privateNetwork('regtest'),
      p2p_conn_low_water: '10',
      p2p_conn_high_water: `${HIGH_WATER}`,
      p2p_conn_grace_period: gracePeriod,
      p2p_static_peers: staticPeer,
    },
  });
  stops.push(() => server.stop());
  return server;
}

const connected = (server: ServerProcess) => server.metric('teranode_p2p_connected_peers');

/** Connected peers of a part of loopback. */
async function connectedFrom(server: ServerProcess, part: string): Promise<number> {
  const { body } = await server.get('/api/v1/peers');
  const { peers } = JSON.parse(body) as { peers: { address?: string; addresses?: string[] }[] };
  return peers.filter((peer) => JSON.stringify(peer).includes(`/ip4/${part}.`)).length;
}

test('hundreds of identities behind one address displace no connected peer', async () => {
  const server = await startServer('15s');
  const peer = await goPeer();
  expect(await peer.crowd({ address: server.address, count: HONEST, from: '127.0.1' })).toBe(HONEST);
  await waitFor(async () => (await connectedFrom(server, '127.0.1')) === HONEST, { what: 'those who were there' });
  const attacker = await goPeer();
  const refused = () => server.metric('teranode_p2p_connections_refused_total', 'reason="crowding_address"');
  await waitFor(
    async () => {
      await attacker.crowd({ address: server.address, count: 40 }).catch(() => 'all refused');
      return (await refused()) > 0;
    },
    { what: 'the refusal of more', timeoutMs: 60_000 },
  );
  // One more of another address, and the crowd has to go.
  await peer.crowd({ address: server.address, count: 2, from: '127.0.2' });
  await waitFor(async () => (await connected(server)) <= HIGH_WATER, { what: 'the trim', timeoutMs: 90_000 });
  expect(await connectedFrom(server, '127.0.1')).toBe(HONEST);
  expect(await connectedFrom(server, '127.0.2')).toBe(2);
});

test('a static peer is dialled and kept although every slot is taken', async () => {
  const peer = await goPeer();
  const [address = ''] = peer.addresses;
  const server = await startServer('10m', address);
  await waitFor(async () => (await connected(server)) === 1, { what: 'the static peer' });
  await peer.disconnect(server.peerId);
  peer.freeze();
  const others = await goPeer();
  await waitFor(
    async () => {
      await others.crowd({ address: server.address, count: 50, from: '127.0.3' }).catch(() => 0);
      await others.crowd({ address: server.address, count: 50, from: '127.0.4' }).catch(() => 0);
      return (await connected(server)) >= HARD_LIMIT;
    },
    { what: 'the hard limit', timeoutMs: 60_000 },
  );
  expect(await connected(server)).toBe(HARD_LIMIT);
  peer.thaw();
  await waitFor(() => peer.isConnectedTo(server.peerId), { what: 'the static peer again', timeoutMs: 60_000 });
  await waitFor(async () => (await connected(server)) === HARD_LIMIT + 1, { what: 'it beside all others' });
  await waitFor(
    async () => {
      await peer.publish(topicsOf('regtest').subtree, JSON.stringify(subtreeFields(peer.peerId)));
      await new Promise((resolve) => setTimeout(resolve, 200));
      return (await server.metric('teranode_p2p_gossip_messages_total')) > 0;
    },
    { what: 'its message' },
  );
});

test('an address that connects and disconnects without end is slowed down, another one is not', async () => {
  const server = await startServer('2s');
  const port = Number(/\/tcp\/(\d+)/.exec(server.address)?.[1]);
  const visit = async () => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.6' });
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
    socket.destroy();
  };
  await waitFor(
    async () => {
      await Promise.all(Array.from({ length: 50 }, visit));
      return (await server.metric('teranode_p2p_connections_refused_total', 'reason="too_fast"')) > 0;
    },
    { what: 'refusals' },
  );
  const peer = await goPeer();
  expect(await peer.crowd({ address: server.address, count: 3, from: '127.0.5' })).toBe(3);
});
