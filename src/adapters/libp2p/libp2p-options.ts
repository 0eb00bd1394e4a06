// Turns the options of this project into js-libp2p's. Every departure from its defaults is one that a Teranode network
// needs. Libraries of services that the options may turn off are loaded when they are on: they cost time and memory.
import { type GossipsubOpts, gossipsub } from '@libp2p/gossipsub';
import { identify, identifyPush } from '@libp2p/identify';
import type { ConnectionGater, PeerInfo } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { ping } from '@libp2p/ping';
import { preSharedKey } from '@libp2p/pnet';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import type { Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { PeerId } from '../../domain/ids.ts';
import type { DeliveryRecord } from '../../ports/deliveries.ts';
import type { Logger } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { advertisedOnBoundPort, advertiseMultiaddr, isPrivateMultiaddr, listenMultiaddr } from './addresses.ts';
import type { DialBudget } from './connections/dial-budget.ts';
import { reportingEncrypter, reportingProtector } from './connections/dial-stage.ts';
import { dialingNames, type ResolveName } from './connections/named-dials.ts';
import type { OperatorAddresses } from './connections/operator-addresses.ts';
import { MAX_PENDING } from './connections/pending-inbound.ts';
import { loadTls, tlsOnDemand } from './connections/tls-on-demand.ts';
import { BoundedDatastore } from './discovery/bounded-datastore.ts';
import { dnsaddrResolver, systemResolveTxt } from './discovery/dnsaddr.ts';
import { messageCache } from './gossipsub/internals.ts';
import { offeringMeshsub13 } from './gossipsub/meshsub-1-3.ts';
import { gossipMetrics } from './gossipsub/metrics.ts';
import { gossipOptions } from './gossipsub/options.ts';
import { libp2pMetrics } from './library-metrics.ts';
import { Listening } from './nat/listening.ts';
import { portMapping } from './nat/port-mapping.ts';
import type { Libp2pNodeOptions } from './node-options.ts';
import type { PatchReport } from './patches/report.ts';
import { withLazyWindowUpdates } from './patches/yamux.ts';

/**
 * Above any setting: js-libp2p would close what this node just dialled because of inbound connections. Limits are the
 * gate's and the trimmer's.
 */
const MAX_CONNECTIONS = 1_000_000;
/** Many nodes share one address in a data center or a test; js-libp2p's default of 5 is too low. */
const INBOUND_CONNECTIONS_PER_SECOND = 200;
/** As often as yamux keeps a connection alive. At the library's 10 s pings are most of what idle peers cost. */
const PING_INTERVAL_MS = 30_000;

/**
 * Bytes that a peer may still send on a stream that is not read: 5 MiB/s over a round trip of 200 ms, and a quarter of
 * what aborts the stream.
 */
const MAX_STREAM_WINDOW_BYTES = 1024 * 1024;

/** Room for every node of a network many times today's size; beyond it the least recently used entries are evicted. */
const DATASTORE_BOUNDS = { maxEntries: 20_000, maxBytes: 32 * 1024 * 1024 };

/** How often port mappings are renewed: so long may a router that has restarted be without them. */
const PORT_MAP_RENEWAL_MS = 600_000;

export interface BuildDependencies {
  readonly log: Logger;
  readonly gater: ConnectionGater;
  readonly metrics: Metrics;
  readonly report: PatchReport;
  /** Resolves the names that are dialled. */
  readonly resolveName: ResolveName;
  readonly dialBudget: Pick<DialBudget, 'isExempt' | 'limited'>;
  readonly operators: OperatorAddresses;
  /** Whom the mesh prefers; absent: nobody. */
  readonly deliveries?: Pick<DeliveryRecord, 'preferenceOf'> | undefined;
}

/** Builds the libp2p node, not started. `topicNames` are all that it will ever join. */
export async function buildLibp2p(options: Libp2pNodeOptions, topicNames: readonly string[], deps: BuildDependencies) {
  const { gater, metrics, report, resolveName, dialBudget, operators } = deps;
  const { resolveTxt = systemResolveTxt } = options;
  const listening = new Listening();
  const punching = isPunching(options) ? await import('./nat/hole-punching.ts') : undefined;
  const socket = tcp({ dialOpts: { noDelay: true }, listenOpts: { noDelay: true } });
  return await createLibp2p({
    start: false,
    datastore: new BoundedDatastore({ metrics }, DATASTORE_BOUNDS),
    privateKey: options.privateKey,
    nodeInfo: { userAgent: options.userAgent },
    addresses: addressOptions(options, listening),
    transports: [
      dialingNames(punching?.reusablePorts(socket) ?? socket, resolveName, dialBudget),
      ...(options.nat.relayClient ? [(await import('@libp2p/circuit-relay-v2')).circuitRelayTransport()] : []),
    ],
    connectionEncrypters: await encrypters(options, report),
    streamMuxers: [
      withLazyWindowUpdates(yamux({ streamOptions: { maxStreamWindowSize: MAX_STREAM_WINDOW_BYTES } }), report),
    ],
    ...(options.presharedKey === undefined
      ? {}
      : { connectionProtector: reportingProtector(preSharedKey({ psk: swarmKey(options.presharedKey) })) }),
    connectionGater: gater,
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      inboundConnectionThreshold: INBOUND_CONNECTIONS_PER_SECOND,
      maxIncomingPendingConnections: MAX_PENDING,
      dialTimeout: 10_000,
      addressDialTimeout: 5000,
      // The dialer reconnects, with a back-off and without giving up.
      reconnectRetries: 0,
      resolvers: { dnsaddr: dnsaddrResolver(resolveTxt, operators) },
    },
    // Its pings time out under load, and it would then close the only connection.
    connectionMonitor: { abortConnectionOnPingFailure: false, pingInterval: PING_INTERVAL_MS },
    services: await services(options, deps, listening, {
      ...gossipOptions(topicNames, { floodsub: isMessageBus(options), preferenceOf: preferenceOf(options, deps) }),
      messageCache: messageCache(metrics),
      metricsRegister: gossipMetrics(metrics),
    }),
    metrics: () => libp2pMetrics(metrics),
  });
}

/** TLS first, as Go offers it. Beneath it is the cipher of a private network, or the socket. */
async function encrypters({ prefersNoise = false, presharedKey }: Libp2pNodeOptions, report: PatchReport) {
  const isOnSocket = presharedKey === undefined;
  if (prefersNoise) return [reportingEncrypter(noise()), reportingEncrypter(tlsOnDemand(isOnSocket, report))];
  return [reportingEncrypter(await loadTls(isOnSocket, report)), reportingEncrypter(noise())];
}

/** Addresses that the transports listen on, with their real ports; not the announced addresses. */
export function boundAddresses({ services }: Pick<TeranodeLibp2p, 'services'>): readonly Multiaddr[] {
  return services.listening.bound();
}

function addressOptions(options: Libp2pNodeOptions, listening: Listening) {
  const listen = options.listenIps.map((ip) => listenMultiaddr(ip, options.port));
  // Reserves a slot at a relay that this node is connected to, and at another when that one is lost.
  if (options.nat.relayClient && options.nat.forceReachability === 'private') listen.push('/p2p-circuit');
  const { advertiseAddresses, port } = options;
  if (advertiseAddresses.length === 0) {
    const ownId = options.privateKey.publicKey.toString();
    const areShared = options.sharePrivateAddresses && options.allowPrivateIps !== false;
    const isShared = (address: Multiaddr) => areShared || !isPrivateMultiaddr(address);
    return { listen, announceFilter: (all: Multiaddr[]) => listening.announced(all, ownId).filter(isShared) };
  }
  if (port !== 0) return { listen, announce: advertiseAddresses.map((address) => advertiseMultiaddr(address, port)) };
  // The port is known once it is bound, so announced addresses are computed each time.
  return { listen, announceFilter: () => advertisedOnBoundPort(advertiseAddresses, listening.bound()) };
}

function swarmKey(hex: string): Uint8Array {
  return Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${hex}`);
}

function isMessageBus({ protocols }: Libp2pNodeOptions): boolean {
  return protocols === 'message-bus';
}

function preferenceOf({ prefersFirstDeliverers }: Libp2pNodeOptions, { deliveries }: BuildDependencies) {
  if (prefersFirstDeliverers !== true || deliveries === undefined) return undefined;
  return (peerId: string) => deliveries.preferenceOf(peerId as PeerId);
}

function isPunching({ nat }: Libp2pNodeOptions): boolean {
  return nat.holePunching && nat.relayClient;
}

async function services(
  options: Libp2pNodeOptions,
  deps: BuildDependencies,
  listening: Listening,
  gossip: Partial<GossipsubOpts>,
) {
  const { nat, dht } = options;
  const { portMapRenewalMs: renewalMs = PORT_MAP_RENEWAL_MS } = nat;
  const pubsub = gossipsub(gossip);
  // Its metrics exist without it too.
  const portMap = portMapping({ ...deps, listening }, { renewalMs, isTrusted: !nat.autonat });
  return {
    listening: listening.service(),
    identify: identify(),
    ping: ping(),
    pubsub: isMessageBus(options) ? offeringMeshsub13(pubsub) : pubsub,
    ...(isMessageBus(options) ? { identifyPush: identifyPush() } : {}),
    ...(dht.role === 'off' ? {} : { dht: await dhtService(options) }),
    ...(nat.portMap ? { portMap: await portMap() } : {}),
    ...(nat.autonat ? { autonat: (await import('@libp2p/autonat-v2')).autoNATv2() } : {}),
    ...(isPunching(options) ? { holePunching: (await import('./nat/hole-punching.ts')).holePunching() } : {}),
    ...(nat.relayService ? { relayService: (await import('@libp2p/circuit-relay-v2')).circuitRelayServer() } : {}),
  };
}

async function dhtService({ dht, allowPrivateIps = true }: Libp2pNodeOptions) {
  const { kadDHT, passthroughMapper } = await import('@libp2p/kad-dht');
  return kadDHT({
    protocol: dht.protocol,
    clientMode: dht.role === 'client',
    // Teranode networks also run on private addresses, which the default mapper would drop.
    peerInfoMapper: allowPrivateIps ? passthroughMapper : withoutPrivateAddresses,
    initialQuerySelfInterval: 100,
  });
}

function withoutPrivateAddresses(peer: PeerInfo): PeerInfo {
  return { ...peer, multiaddrs: peer.multiaddrs.filter((address) => !isPrivateMultiaddr(address)) };
}

export type TeranodeLibp2p = Awaited<ReturnType<typeof buildLibp2p>>;
