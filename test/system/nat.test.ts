// Nodes behind NAT, in a laboratory of network namespaces: routers that masquerade, miniupnpd, Go peers outside.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GoPeer } from '../support/go-peer.ts';
import { INSIDE, type Lease, type Nat, NatLab } from '../support/nat-lab.ts';
import { PSK, privateNetwork } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

/** Each in a network of its own, as AutoNAT counts them. */
const PUBLIC_IPS = ['11.1.0.1', '13.1.0.1', '17.1.0.1'];
const TIMEOUT_MS = 90_000;

const WIRES = {
  'message-bus': { p2p_enable_nat: 'true', p2p_bootstrap_peers: 'none' },
  'go-p2p': privateNetwork('mainnet'),
} as const;

type Wire = keyof typeof WIRES;

/** What a Go peer needs to be on a wire. */
const GO_OPTIONS = { 'message-bus': {}, 'go-p2p': { psk: PSK } } as const;

let lab: NatLab;
/** They all test reachability, and the first of each wire relays. */
const goPeers: Record<Wire, GoPeer[]> = { 'message-bus': [], 'go-p2p': [] };
const nats: Record<string, Nat> = {};
const servers: ServerProcess[] = [];
/** With a router that maps ports, on both wires. */
let mapped: ServerProcess;
/** With a router that does not. */
let unmapped: ServerProcess;

function nat(name: string): Nat {
  const found = nats[name];
  if (found === undefined) throw new RangeError(`no NAT ${name}`);
  return found;
}

/** A server on the machine behind a router. */
async function startBehind(
  name: string,
  wire: Wire | 'both',
  settings: Record<string, string>,
): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    enter: nat(name).enter,
    settings: {
      network: 'mainnet',
      p2p_wire: wire,
      ...(wire === 'both' ? { ...WIRES['message-bus'], ...WIRES['go-p2p'], p2p_go_p2p_port: '0' } : WIRES[wire]),
      p2p_listen_addresses: '0.0.0.0',
      p2p_share_private_addresses: 'false',
      ...settings,
    },
  });
  servers.push(server);
  return server;
}

/** Addresses of the open connections to a peer. */
async function addressesOf(server: ServerProcess, peerId: string): Promise<readonly string[]> {
  const answer = JSON.parse((await server.get('/api/v1/peers')).body) as {
    peers: { id: string; addresses: readonly string[] }[];
  };
  return answer.peers.find(({ id }) => id === peerId)?.addresses ?? [];
}

function relayAddress(wire: Wire): string {
  return goPeers[wire][0]?.addresses[0] ?? '';
}

function circuit(wire: Wire, peerId: string): string {
  return `${relayAddress(wire)}/p2p-circuit/p2p/${peerId}`;
}

function listed(peers: readonly GoPeer[]): string {
  return peers.map(({ addresses }) => addresses[0]).join(' | ');
}

/** What a Go peer that connects now learns of the addresses of a server. */
async function announcedTo(wire: Wire, address: string, peerId: string): Promise<readonly string[]> {
  const visitor = await GoPeer.start({ listen: ['/ip4/11.1.0.1/tcp/0'], ...GO_OPTIONS[wire] }, lab.enter);
  try {
    await visitor.connect(address);
    return await waitFor(() => visitor.announcedBy(peerId).then((all) => all ?? undefined), { what: 'identify' });
  } finally {
    await visitor.stop();
  }
}

/** Nodes of the server that have come to this conclusion. */
function concluded(server: ServerProcess, reachability: string): number {
  return server.output.json.filter(
    (line) => line.event === 'reachability changed' && line.reachability === reachability,
  ).length;
}

beforeAll(async () => {
  lab = await NatLab.start(PUBLIC_IPS);
  for (const wire of ['message-bus', 'go-p2p'] as const) {
    const port = wire === 'go-p2p' ? 4001 : 4002;
    const start = (ip: string, i: number) =>
      GoPeer.start(
        { listen: [`/ip4/${ip}/tcp/${port}`], autonat: true, relayService: i === 0, ...GO_OPTIONS[wire] },
        lab.enter,
      );
    goPeers[wire] = await Promise.all(PUBLIC_IPS.map(start));
  }
  nats.cone = await lab.nat({ network: '45.10.0' });
  nats.otherCone = await lab.nat({ network: '77.20.0' });
  nats.symmetric = await lab.nat({ network: '93.30.0', kind: 'symmetric' });
  nats.upnp = await lab.nat({ network: '31.40.0', upnp: true });
  // AutoNAT takes its time; meanwhile the other tests run.
  [mapped, unmapped] = await Promise.all([
    startBehind('upnp', 'both', {
      p2p_enable_nat_port_map: 'true',
      p2p_nat_port_map_renewal_interval: '2s',
      p2p_static_peers: listed([...goPeers['message-bus'], ...goPeers['go-p2p']]),
    }),
    startBehind('cone', 'message-bus', { p2p_static_peers: listed(goPeers['message-bus']) }),
  ]);
});

afterAll(async () => {
  await Promise.all([
    ...servers.map((server) => server.stop()),
    ...Object.values(goPeers)
      .flat()
      .map((peer) => peer.stop()),
  ]);
  lab?.close();
});

describe('hole punching', () => {
  /** Can be reached through the relay only. */
  const startHidden = (wire: Wire) =>
    startBehind('cone', wire, { p2p_static_peers: relayAddress(wire), p2p_force_reachability: 'private' });

  test.each(['message-bus', 'go-p2p'] as const)(
    'connects two nodes behind cone NATs directly after they met through a relay, on %s',
    async (wire) => {
      const hidden = await startHidden(wire);
      const visitor = await startBehind('otherCone', wire, { p2p_static_peers: circuit(wire, hidden.peerId) });
      const direct = await waitFor(
        async () => {
          const addresses = await addressesOf(visitor, hidden.peerId);
          return addresses.length > 0 && addresses.every((each) => !each.includes('p2p-circuit')) && addresses;
        },
        { timeoutMs: TIMEOUT_MS, what: 'a direct connection' },
      );
      const connected = await waitFor(
        () => visitor.output.json.find(({ event, peerId }) => event === 'peer connected' && peerId === hidden.peerId),
        { what: 'the log of the connection' },
      );
      expect(connected.address).toContain('/p2p-circuit/');
      expect(direct).toEqual([expect.stringContaining(`/ip4/${nat('cone').publicIp}/tcp/`)]);
      expect(await addressesOf(hidden, visitor.peerId)).toEqual([
        expect.stringContaining(`/ip4/${nat('otherCone').publicIp}/tcp/`),
      ]);
      const topics = () => visitor.get('/api/v1/topics');
      await waitFor(async () => (await topics()).body.includes(hidden.peerId), { what: 'gossip over the connection' });
    },
    TIMEOUT_MS,
  );

  test(
    'keeps the relayed connection to a node behind a symmetric NAT',
    async () => {
      const hidden = await startHidden('message-bus');
      const visitor = await startBehind('symmetric', 'message-bus', {
        p2p_static_peers: circuit('message-bus', hidden.peerId),
      });
      const relayed = () => addressesOf(visitor, hidden.peerId);
      await waitFor(async () => (await relayed()).length > 0, { timeoutMs: TIMEOUT_MS, what: 'a relayed connection' });
      // Three attempts, in each of which three packets are sent to a port that the NAT has not mapped for the peer.
      await waitFor(() => nat('symmetric').droppedPackets() > 6, { timeoutMs: TIMEOUT_MS, what: 'three attempts' });
      expect(await relayed()).toEqual([circuit('message-bus', hidden.peerId)]);
    },
    TIMEOUT_MS,
  );
});

describe('AutoNAT with Go peers', () => {
  test(
    'tells a node behind a NAT that it is private, which then announces a relay and nothing else',
    async () => {
      await waitFor(() => concluded(unmapped, 'private') === 1, { timeoutMs: TIMEOUT_MS, what: 'private' });
      const through = circuit('message-bus', unmapped.peerId);
      const announced = await waitFor(() => announcedTo('message-bus', through, unmapped.peerId), {
        what: 'a slot at the relay',
      });
      expect(announced).toEqual([`${relayAddress('message-bus')}/p2p-circuit`]);
    },
    TIMEOUT_MS,
  );

  test(
    'tells a node with a port mapping that it is public, which then announces the mapped address on each wire',
    async () => {
      await waitFor(() => concluded(mapped, 'public') === 2, { timeoutMs: TIMEOUT_MS, what: 'public' });
      for (const { wire, listenAddresses } of mapped.ready.networks) {
        const inside = listenAddresses.find((address) => address.includes(INSIDE)) ?? '';
        const address = inside.replace(INSIDE, nat('upnp').publicIp);
        expect(await announcedTo(wire as Wire, address, mapped.peerId)).toEqual([
          address.replace(`/p2p/${mapped.peerId}`, ''),
        ]);
      }
      expect(concluded(mapped, 'private')).toBe(0);
    },
    TIMEOUT_MS,
  );
});

test(
  'a port mapping is renewed, returns after the router has restarted, and is removed when the node stops',
  async () => {
    const router = nat('upnp');
    const inside = mapped.ready.networks.map(({ listenAddresses }) => {
      const address = listenAddresses.find((each) => each.includes(INSIDE));
      return `${INSIDE}:${/tcp\/(\d+)/.exec(address ?? '')?.[1]}`;
    });
    /** That hold for both; miniupnpd rewrites the file with each renewal. */
    const leases = (what: string, hold: (lease: Lease, i: number) => boolean = () => true) =>
      waitFor(
        () => {
          const all = router.leases().toSorted((a, b) => a.externalPort - b.externalPort);
          return all.length === 2 && all.every(hold) && all;
        },
        { timeoutMs: TIMEOUT_MS, what },
      );
    const first = await leases('a mapping for each wire');
    expect(first.map(({ internal }) => internal).toSorted()).toEqual(inside.toSorted());
    expect(router.forwardedPorts()).toHaveLength(2);
    const later = await leases('two renewals', (lease, i) => lease.expiresAtS > (first[i]?.expiresAtS ?? 0) + 3);
    expect(later.map(({ externalPort }) => externalPort)).toEqual(first.map(({ externalPort }) => externalPort));
    await router.restartUpnp();
    await leases('the mappings again');
    await waitFor(() => router.forwardedPorts().length === 2, { what: 'the rules again' });
    await mapped.stop();
    expect(router.leases()).toEqual([]);
    expect(router.forwardedPorts()).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  'no datagram on the port of UPnP ends a node that looks for a router',
  async () => {
    const server = await startBehind('cone', 'go-p2p', { p2p_enable_nat_port_map: 'true' });
    const datagrams = ['FOO * HTTP/1.1\r\n', 'HTTP/1.1 200 OK\r\nUSN: a\r\nST: b\r\nLOCATION: http://192.168.7.1/\r\n'];
    // It searches for 5 s, and again 5 s later.
    for (let i = 0; i < 12; i += 1) {
      for (const each of datagrams) nat('cone').sendDatagram(each, 1900);
      await pause(500);
    }
    expect((await server.get('/health/live')).status).toBe(200);
  },
  TIMEOUT_MS,
);

test(
  'a mapped address is announced at once when AutoNAT is off',
  async () => {
    const server = await startBehind('upnp', 'go-p2p', {
      p2p_enable_nat_port_map: 'true',
      p2p_enable_autonat_v2: 'false',
    });
    const { externalPort } = await waitFor(
      () =>
        nat('upnp')
          .leases()
          .find(({ internal }) => server.address.includes(internal.split(':')[1] ?? '?')),
      { timeoutMs: TIMEOUT_MS, what: 'a mapping' },
    );
    const address = `/ip4/${nat('upnp').publicIp}/tcp/${externalPort}`;
    await waitFor(
      async () => (await announcedTo('go-p2p', `${address}/p2p/${server.peerId}`, server.peerId)).includes(address),
      { what: 'the address' },
    );
  },
  TIMEOUT_MS,
);
