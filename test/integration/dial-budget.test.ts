// What others say about addresses must not make this node a weapon: of peers that are named at one machine, few are
// dialed, whatever their number.
import { afterEach, describe, expect, test } from 'vitest';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import type { Libp2pNodeOptions } from '../../src/adapters/libp2p/node-options.ts';
import { answerWithInventedPeers, CountingHost } from '../support/false-dht.ts';
import { PSK } from '../support/network.ts';
import { BUS, bareLibp2p, Nodes } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const nodes = new Nodes();
const stops: (() => unknown)[] = [];

afterEach(async () => {
  await nodes.stop();
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

const INVENTED = 400;

const WIRES = {
  'go-p2p': {
    presharedKey: PSK,
    dht: { mode: 'private', protocol: '/teranode/kad/1.0.0' },
  },
  'message-bus': { ...BUS, dht: { mode: 'public', protocol: '/ipfs/kad/1.0.0', role: 'server' } },
} as const satisfies Record<string, Partial<Libp2pNodeOptions>>;

async function startBare(options: Partial<Libp2pNodeOptions>): Promise<TeranodeLibp2p> {
  const libp2p = await bareLibp2p([], { ...options, dht: { ...WIRES['message-bus'].dht, role: 'off' } });
  stops.push(() => libp2p.stop());
  return libp2p;
}

async function startHost(ports: number) {
  const host = new CountingHost();
  stops.push(() => host.close());
  const open: number[] = [];
  while (open.length < ports) open.push(await host.listen('127.0.0.9'));
  return { host, address: (i: number) => `/ip4/127.0.0.9/tcp/${open[i % ports]}` };
}

describe.each(Object.entries(WIRES))('on %s', (_wire, wire) => {
  test.each([
    [1, 20],
    [100, 100],
  ])('a DHT peer names 400 peers at %i ports of one machine: at most %i connections to it', async (ports, most) => {
    const { host, address } = await startHost(ports);
    const liar = await startBare(wire);
    await answerWithInventedPeers(liar, wire.dht.protocol, { peers: INVENTED, address });
    await liar.start();
    const { node, metrics } = await nodes.start({ ...wire, staticPeers: [String(liar.getMultiaddrs()[0])] });
    const tried = () => host.connections + metrics.count('teranode_p2p_dials_refused_total');
    await waitFor(() => tried() >= 2 * INVENTED, { timeoutMs: 60_000, what: 'dials' });
    expect(host.connections).toBeGreaterThan(0);
    expect(host.connections).toBeLessThanOrEqual(most);
    expect(node.currentlyConnectedPeers().map(({ id }) => String(id))).toEqual([liar.peerId.toString()]);
  });

  test('a peer whose address was named for 50 others is still reached when the operator asks for it', async () => {
    const listed = await startBare(wire);
    await listed.start();
    const address = String(listed.getMultiaddrs()[0]);
    const claimed = address.replace(/\/p2p\/.*/, '');
    const liar = await startBare(wire);
    await answerWithInventedPeers(liar, wire.dht.protocol, { peers: INVENTED / 8, address: () => claimed });
    await liar.start();
    const { node, metrics } = await nodes.start({ ...wire, staticPeers: [String(liar.getMultiaddrs()[0])] });
    await waitFor(() => metrics.count('teranode_p2p_dials_refused_total') >= INVENTED / 8, {
      timeoutMs: 60_000,
      what: 'refused dials',
    });
    const connected = await waitFor(() => node.connectPeer(address), { timeoutMs: 40_000, what: 'the listed peer' });
    expect(connected).toBe(listed.peerId.toString());
  });
});
