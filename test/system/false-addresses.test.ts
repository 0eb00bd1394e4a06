// Addresses that peers only claim: in the DHT for others, in identify for us. On both wires at once, at a started server.
import { connect } from 'node:net';
import { publicKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, test } from 'vitest';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import { messageBus } from '../support/bus-network.ts';
import { answerWithInventedPeers, CountingHost, encodeVarint, field } from '../support/false-dht.ts';
import { PSK, privateNetwork } from '../support/network.ts';
import { BUS, bareLibp2p } from '../support/nodes.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const WIRES = ['go-p2p', 'message-bus'] as const;
type Wire = (typeof WIRES)[number];
const DHT = { 'go-p2p': '/teranode/kad/1.0.0', 'message-bus': '/ipfs/kad/1.0.0' } as const;
const INVENTED = 400;

const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function startPeer(wire: Wire): Promise<TeranodeLibp2p> {
  const libp2p = await bareLibp2p([], { ...BUS, presharedKey: wire === 'go-p2p' ? PSK : undefined });
  stops.push(() => libp2p.stop());
  return libp2p;
}

async function startServer(settings: Record<string, string>): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    settings: {
      ...messageBus('regtest'),
      ...privateNetwork('regtest'),
      p2p_wire: 'both',
      p2p_go_p2p_port: '0',
      p2p_dht_mode: 'server',
      ...settings,
    },
  });
  stops.push(() => server.stop());
  return server;
}

/** On each wire a static peer of the server, which names 400 peers in the DHT. */
async function startLiars(address: (i: number) => string): Promise<readonly TeranodeLibp2p[]> {
  return await Promise.all(
    WIRES.map(async (wire) => {
      const liar = await startPeer(wire);
      await answerWithInventedPeers(liar, DHT[wire], { peers: INVENTED, address });
      await liar.start();
      return liar;
    }),
  );
}

const addressOf = (libp2p: TeranodeLibp2p) => String(libp2p.getMultiaddrs()[0]);

describe('peers invented in the DHT', () => {
  async function startHost() {
    const host = new CountingHost();
    stops.push(() => host.close());
    return { host, port: await host.listen('127.0.0.9') };
  }

  test('at one machine: it gets a few connections, whatever their number', async () => {
    const { host, port } = await startHost();
    const liars = await startLiars(() => `/ip4/127.0.0.9/tcp/${port}`);
    const server = await startServer({ p2p_static_peers: liars.map(addressOf).join(' | ') });
    const refused = () => server.metric('teranode_p2p_dials_refused_total');
    await waitFor(async () => (await refused()) >= 2 * INVENTED, { timeoutMs: 60_000, what: 'refused dials' });
    expect(host.connections).toBeGreaterThan(0);
    // 10 a minute on each wire.
    expect(host.connections).toBeLessThanOrEqual(30);
  });

  test('at private addresses in any form: none is dialed where these are refused, nor accepted, nor announced', async () => {
    const { host, port } = await startHost();
    const forms = [
      '/ip4/127.0.0.9',
      '/ip6/::ffff:127.0.0.9',
      '/ip6/64:ff9b::7f00:9',
      '/dns4/localhost',
      '/ip6/fd00::9',
    ];
    const liars = await startLiars((i) => `${forms[i % forms.length]}/tcp/${port}`);
    const server = await startServer({
      p2p_static_peers: liars.map(addressOf).join(' | '),
      p2p_allow_private_ips: 'false',
    });
    const left = () => server.metric('teranode_p2p_peer_fields_cut_total', 'field="private_addresses"');
    await waitFor(async () => (await left()) >= 2 * INVENTED, {
      timeoutMs: 60_000,
      what: 'addresses that are not stored',
    });
    expect(host.connections).toBe(0);

    const refused = () => server.metric('teranode_p2p_connections_refused_total', 'reason="private_address"');
    for (const wire of WIRES) {
      const before = await refused();
      const socket = connect({
        host: '127.0.0.1',
        port: Number(multiaddr(server.addressOn(wire)).getComponents()[1]?.value),
        localAddress: '127.0.0.8',
      });
      socket.on('error', () => {});
      await new Promise((resolve) => socket.once('close', resolve));
      expect(await refused()).toBeGreaterThan(before);
    }

    for (const liar of liars) {
      const [id] = liar.getPeers();
      if (id === undefined) throw new Error('the server does not know its static peer');
      // What identify told is there with the protocols.
      const told = await waitFor(
        async () => {
          const peer = await liar.peerStore.get(id);
          return peer.protocols.length > 0 && peer;
        },
        { what: 'identify' },
      );
      expect(told.addresses.map(({ multiaddr: at }) => String(at))).toEqual([]);
    }
  });
});

test('an address of ours that ten peers claim to observe is not announced', async () => {
  const server = await startServer({ p2p_enable_nat: 'true', p2p_enable_nat_port_map: 'false' });
  const [, tcp] = multiaddr(server.addressOn('message-bus')).getComponents();
  const claims = [
    `/ip4/11.22.33.44/tcp/${tcp?.value}`,
    `/ip4/11.22.33.44/tcp/${tcp?.value}/ws`,
    `/ip4/11.22.33.44/udp/${tcp?.value}/quic-v1`,
    `/ip6/2a00:1450::1/tcp/${tcp?.value}`,
  ];
  const asked = { count: 0 };
  for (let i = 0; i < 10; i += 1) {
    const liar = await startPeer('message-bus');
    await liar.start();
    await claimToObserve(liar, claims[i % claims.length] ?? '', asked);
    await liar.dial(multiaddr(server.addressOn('message-bus')));
  }
  await waitFor(() => asked.count >= 10, { timeoutMs: 60_000, what: 'identify of ten peers' });
  const witness = await startPeer('message-bus');
  await witness.start();
  const { remotePeer } = await witness.dial(multiaddr(server.addressOn('message-bus')));
  const told = await waitFor(
    async () => {
      const peer = await witness.peerStore.get(remotePeer);
      return peer.protocols.length > 0 && peer;
    },
    { what: 'identify' },
  );
  const announced = told.addresses.map(({ multiaddr: at }) => String(at));
  expect(announced.length).toBeGreaterThan(0);
  for (const address of announced) expect(address).toMatch(/^\/ip4\/127\.0\.0\.1\//);
});

/** Answers identify as itself, with this as the address at which it sees the other. */
async function claimToObserve(libp2p: TeranodeLibp2p, observed: string, asked: { count: number }): Promise<void> {
  const protocol = '/ipfs/id/1.0.0';
  const { publicKey } = libp2p.peerId;
  if (publicKey === undefined) throw new Error('a peer without a key');
  const message = Buffer.concat([
    field(1, publicKeyToProtobuf(publicKey)),
    field(3, Buffer.from(protocol)),
    field(4, multiaddr(observed).bytes),
  ]);
  await libp2p.unhandle(protocol);
  await libp2p.handle(protocol, async (stream: Stream) => {
    asked.count += 1;
    stream.send(Buffer.concat([encodeVarint(message.length), message]));
    await stream.close();
  });
}
