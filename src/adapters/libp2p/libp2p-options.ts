// Options of this project, turned into js-libp2p's. Every departure from its defaults is one that a Teranode network needs.
import type { LookupFunction } from 'node:net';
import { autoNATv2 } from '@libp2p/autonat-v2';
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { dcutr } from '@libp2p/dcutr';
import { type GossipsubOpts, gossipsub } from '@libp2p/gossipsub';
import { identify } from '@libp2p/identify';
import type { ConnectionGater } from '@libp2p/interface';
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht';
import { noise } from '@libp2p/noise';
import { ping } from '@libp2p/ping';
import { preSharedKey } from '@libp2p/pnet';
import { tcp } from '@libp2p/tcp';
import { tls } from '@libp2p/tls';
import { uPnPNAT } from '@libp2p/upnp-nat';
import { yamux } from '@libp2p/yamux';
import type { Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { Metrics } from '../../ports/metrics.ts';
import { advertisedOnBoundPort, advertiseMultiaddr, isPrivateMultiaddr, listenMultiaddr } from './addresses.ts';
import { MAX_PENDING } from './connections/pending-inbound.ts';
import { BoundedDatastore } from './discovery/bounded-datastore.ts';
import { gossipMetrics } from './gossipsub/metrics.ts';
import { gossipOptions } from './gossipsub/options.ts';
import { libp2pMetrics } from './library-metrics.ts';
import type { Libp2pNodeOptions } from './node-options.ts';

/** Beyond any setting: ours to limit, as js-libp2p would close what we have just dialled for what came from outside. */
const MAX_CONNECTIONS = 1_000_000;
/** Many nodes stand behind one address in a data centre or a test: js-libp2p's 5 a second are too few. */
const INBOUND_CONNECTIONS_A_SECOND = 200;

/** What may still come on a stream that is not read for a while: 5 MiB a second over 200 ms, and a quarter of what ends the stream. */
const MAX_STREAM_WINDOW_BYTES = 1024 * 1024;

/** Room for every node of a network many times today's; beyond it what was used longest ago leaves. */
const DATASTORE_BOUNDS = { maxEntries: 20_000, maxBytes: 32 * 1024 * 1024 };

/** Builds the libp2p node, not started. `topicNames` are all that it will ever join; `lookup` resolves names that are dialled. */
export async function buildLibp2p(
  options: Libp2pNodeOptions,
  topicNames: readonly string[],
  gater: ConnectionGater,
  metrics: Metrics,
  lookup?: LookupFunction,
) {
  let bound: () => readonly Multiaddr[] = () => [];
  const libp2p = await createLibp2p({
    start: false,
    datastore: new BoundedDatastore({ metrics }, DATASTORE_BOUNDS),
    privateKey: options.privateKey,
    nodeInfo: { userAgent: options.userAgent },
    addresses: addressOptions(options, () => bound()),
    transports: [
      // Whatever else stands here goes to `net.connect`, the resolver too, of which the type knows nothing.
      tcp({ dialOpts: { noDelay: true, ...(lookup && { lookup }) }, listenOpts: { noDelay: true } }),
      ...(options.nat.relayClient ? [circuitRelayTransport()] : []),
    ],
    // TLS first, as Go offers it.
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: MAX_STREAM_WINDOW_BYTES } })],
    ...(options.presharedKey === undefined
      ? {}
      : { connectionProtector: preSharedKey({ psk: swarmKey(options.presharedKey) }) }),
    connectionGater: gater,
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      inboundConnectionThreshold: INBOUND_CONNECTIONS_A_SECOND,
      maxIncomingPendingConnections: MAX_PENDING,
      dialTimeout: 10_000,
      addressDialTimeout: 5000,
      // Reconnecting is ours to do, with a back-off that never gives up.
      reconnectRetries: 0,
    },
    // Under load its pings time out; it then killed the only peer.
    connectionMonitor: { abortConnectionOnPingFailure: false },
    services: services(options, { ...gossipOptions(topicNames), metricsRegister: gossipMetrics(metrics) }),
    metrics: () => libp2pMetrics(metrics),
  });
  bound = () => boundAddresses(libp2p);
  return libp2p;
}

/** What the transports listen on, with the ports that were really taken; not what is announced. */
export function boundAddresses(libp2p: unknown): readonly Multiaddr[] {
  const { components } = libp2p as { components: { transportManager: { getAddrs(): Multiaddr[] } } };
  return components.transportManager.getAddrs();
}

function addressOptions(options: Libp2pNodeOptions, bound: () => readonly Multiaddr[]) {
  const listen = options.listenIps.map((ip) => listenMultiaddr(ip, options.port));
  // A place at whatever relay we are connected to, and at the next when that is lost.
  if (options.nat.relayClient && options.nat.forceReachability === 'private') listen.push('/p2p-circuit');
  const { advertiseAddresses, port } = options;
  if (advertiseAddresses.length === 0) {
    const isPublic = (address: Multiaddr) => !isPrivateMultiaddr(address);
    return options.sharePrivateAddresses
      ? { listen }
      : { listen, announceFilter: (all: Multiaddr[]) => all.filter(isPublic) };
  }
  if (port !== 0) return { listen, announce: advertiseAddresses.map((address) => advertiseMultiaddr(address, port)) };
  // Which port it is shows when it is bound, so what is announced is asked for each time.
  return { listen, announceFilter: () => advertisedOnBoundPort(advertiseAddresses, bound()) };
}

function swarmKey(hex: string): Uint8Array {
  return Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${hex}`);
}

function services(options: Libp2pNodeOptions, gossip: Partial<GossipsubOpts>) {
  const { nat } = options;
  return {
    identify: identify(),
    ping: ping(),
    pubsub: gossipsub(gossip),
    dht: kadDHT({
      protocol: options.dht.protocol,
      clientMode: false,
      // Teranode networks live on private addresses too; the default mapper would drop those.
      peerInfoMapper: passthroughMapper,
      initialQuerySelfInterval: 100,
    }),
    ...(nat.portMap ? { portMap: uPnPNAT() } : {}),
    ...(nat.autonat ? { autonat: autoNATv2() } : {}),
    ...(nat.holePunching && nat.relayClient ? { holePunching: dcutr() } : {}),
    ...(nat.relayService ? { relayService: circuitRelayServer() } : {}),
  };
}

export type TeranodeLibp2p = Awaited<ReturnType<typeof buildLibp2p>>;
