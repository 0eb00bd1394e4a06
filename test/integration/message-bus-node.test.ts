// A node of a message-bus network among nodes of its own kind: what it tells about itself, where it listens, whom it
// dials and refuses.

import { Resolver } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, test } from 'vitest';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import type { Libp2pNodeOptions } from '../../src/adapters/libp2p/node-options.ts';
import { freePort } from '../support/kafka-broker.ts';
import { NameServer } from '../support/name-server.ts';
import { addressOf, BUS, bareLibp2p, Nodes, TOPICS } from '../support/nodes.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const nodes = new Nodes();
const bare: TeranodeLibp2p[] = [];

afterEach(async () => {
  await Promise.all(bare.splice(0).map((peer) => peer.stop()));
  await nodes.stop();
});

const start = async (changes: Partial<Libp2pNodeOptions> = {}) => await nodes.start({ ...BUS, ...changes });

/** What a node tells about itself in identify. */
async function identifyOf(node: Libp2pNode) {
  const peer = await bareLibp2p(TOPICS, BUS);
  bare.push(peer);
  await peer.start();
  const { promise, resolve } = Promise.withResolvers<{ protocolVersion?: string; protocols: string[] }>();
  peer.addEventListener('peer:identify', ({ detail }) => resolve(detail), { once: true });
  await peer.dial(multiaddr(addressOf(node)));
  return await promise;
}

/** What a Go node told in one of its DHT modes. */
function recordedIdentify(mode: 'dht_off' | 'dht_server' | 'dht_client'): {
  protocolVersion: string;
  protocols: string[];
} {
  const recorded = JSON.parse(readFileSync(join(REPO, 'test/data/today/identify.json'), 'utf8'));
  return recorded[mode].dialled_by_a_raw_peer.find(({ ev }: { ev: string }) => ev === 'identify');
}

describe('identify of a message-bus node', () => {
  test.each(['off', 'client', 'server'] as const)(
    'tells the protocol version and the protocols that a Go node tells with the DHT %s, and address requests 1.1.0',
    async (role) => {
      const { node } = await start({ dht: { ...BUS.dht, role } });
      const { protocolVersion, protocols } = await identifyOf(node);
      const recorded = recordedIdentify(`dht_${role}`);
      expect(protocolVersion).toBe(recorded.protocolVersion);
      expect(protocols.sort()).toEqual([...recorded.protocols, '/p2p-msg-bus/peer-addr-request/1.1.0'].sort());
    },
  );
});

describe('listen addresses of a message-bus node', () => {
  test('are all of IPv4 and IPv6 on one port', async () => {
    const port = await freePort();
    const { node } = await start({ listenIps: ['0.0.0.0', '::'], port });
    const addresses = node.listenAddresses();
    expect(addresses.some((address) => address.startsWith(`/ip4/127.0.0.1/tcp/${port}/`))).toBe(true);
    expect(addresses.every((address) => address.includes(`/tcp/${port}/`))).toBe(true);
  });

  test('need no IPv6: a machine without it listens on IPv4', async () => {
    const { node } = await start({ listenIps: ['127.0.0.1', '2001:db8::1'] });
    expect(node.listenAddresses()).toEqual([expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\//)]);
  });

  test('must include one that can be bound', async () => {
    const busy = (await start()).node;
    const port = Number(addressOf(busy).split('/')[4]);
    await expect(start({ listenIps: ['127.0.0.1'], port })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: `cannot listen on port ${port}, another program uses it: stop that one, or set another one (p2p_port, p2p_go_p2p_port)`,
    });
  });
});

describe('a message-bus node that does not allow private addresses', () => {
  const refusals = ({ metrics }: Awaited<ReturnType<typeof start>>) =>
    metrics.count('teranode_p2p_connections_refused_total', { reason: 'private_address' });

  test('neither accepts nor dials them, by IP or by name', async () => {
    const strict = await start({ allowPrivateIps: false });
    const other = (await start()).node;
    await expect(other.connectPeer(addressOf(strict.node))).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
    const inbound = refusals(strict);
    expect(inbound).toBeGreaterThan(0);
    const [, , , , port, , id] = addressOf(other).split('/');
    for (const host of ['/ip4/127.0.0.1', '/dns4/localhost']) {
      const before = refusals(strict);
      const dial = strict.node.connectPeer(`${host}/tcp/${port}/p2p/${id}`);
      await expect(dial).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
      expect(refusals(strict)).toBeGreaterThan(before);
    }
    expect(strict.node.connectedPeers()).toEqual([]);
  });

  test('connects to the peers that the operator listed, by IP or by name', async () => {
    const byIp = (await start({ listenIps: ['127.0.0.2'] })).node;
    const byName = (await start()).node;
    const [, , , , port, , id] = addressOf(byName).split('/');
    const strict = await start({
      allowPrivateIps: false,
      staticPeers: [addressOf(byIp)],
      bootstrapAddresses: [`/dns4/localhost/tcp/${port}/p2p/${id}`],
    });
    const connected = () => strict.node.currentlyConnectedPeers().map((peer) => peer.id);
    await waitFor(() => connected().length === 2, { what: 'both listed peers' });
    expect(new Set(connected())).toEqual(new Set([byIp.hostId(), byName.hostId()]));
  });
});

describe('a listed /dnsaddr name of a message-bus node', () => {
  test('is resolved through TXT records, one nested level included, and each of its peers is dialed', async () => {
    const [a, b] = [(await start()).node, (await start()).node];
    const server = new NameServer(
      {},
      {
        '_dnsaddr.boot.example': [`dnsaddr=${addressOf(a)}`, 'dnsaddr=/dnsaddr/eu.boot.example', 'v=spf1 -all'],
        '_dnsaddr.eu.boot.example': [`dnsaddr=${addressOf(b)}`],
      },
    );
    const resolver = new Resolver();
    resolver.setServers([await server.start(0)]);
    try {
      const { node } = await start({
        bootstrapAddresses: ['/dnsaddr/boot.example'],
        resolveTxt: (name) => resolver.resolveTxt(name),
      });
      await waitFor(() => node.currentlyConnectedPeers().length === 2, { what: 'both peers of the name' });
      const connected = node.currentlyConnectedPeers().map(({ id }) => id);
      expect(new Set(connected)).toEqual(new Set([a.hostId(), b.hostId()]));
    } finally {
      server.stop();
    }
  });
});
