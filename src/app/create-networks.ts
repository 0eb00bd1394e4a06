// The networks that this server belongs to: one libp2p node for each wire in force.
import { join } from 'node:path';
import { Libp2pNode, type Libp2pNodeDependencies } from '../adapters/libp2p/libp2p-node.ts';
import { type Libp2pNodeOptions, MESSAGE_BUS_OPTIONS } from '../adapters/libp2p/node-options.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Settings } from '../settings/load.ts';
import { busTopicNames, fullTopicNames, topicPrefixes } from '../settings/topic-names.ts';
import { allowsPrivateIps, bootstrapPeers, wireNames } from '../settings/wire.ts';
import { WIRE_FORMATS, type WireName } from '../wire/format.ts';

export type NodeDependencies = Required<Libp2pNodeDependencies>;

/** What the node needs to know besides the settings. */
export interface NodeFacts {
  readonly privateKey: Libp2pNodeOptions['privateKey'];
  readonly version: string;
  readonly dataFolder: string;
}

/** What the caller of `compose` brings. The server starts and stops the nodes. */
export interface OwnNetworks {
  /**
   * Makes each node in the place of ours, from what ours is made of; `() => node` where it needs none of it. What ours
   * does with these is then up to that node: `policy` says who is banned (the pipeline drops what banned authors write
   * in any case), `privateKey` is the identity that is kept, `mayPublish` is all there is of `listen_only`. Metrics of
   * our node are missing unless that node registers them.
   */
  readonly node?: (deps: NodeDependencies, options: Libp2pNodeOptions) => P2PNode;
  /**
   * Further networks beside those of the settings, on nodes of their own or sharing one; `options` are those of our
   * node.
   */
  readonly furtherNetworks?: (deps: NodeDependencies, options: Libp2pNodeOptions) => readonly P2PNetwork[];
}

/**
 * The networks of the settings, the newer wire first, each wire on a node of its own; then the caller's.
 * `p2p_further_topic_prefixes` share the node of their wire.
 */
export function createNetworks(
  settings: Settings,
  deps: NodeDependencies,
  facts: NodeFacts,
  own: OwnNetworks = {},
): readonly [P2PNetwork, ...P2PNetwork[]] {
  const wires = wireNames(settings).map((wire) => ({ wire, options: nodeOptions(settings, facts, wire) }));
  const networks = wires.flatMap(({ wire, options }) => {
    const node = own.node?.(deps, options) ?? new Libp2pNode(deps, options);
    return topicPrefixes(settings, wire).map((topicPrefix) => network(settings, wire, topicPrefix, node));
  });
  const further = wires.slice(0, 1).flatMap(({ options }) => own.furtherNetworks?.(deps, options) ?? []);
  const [first, ...others] = [...networks, ...further];
  if (first === undefined) throw new RangeError('a server belongs to one network at least');
  return [first, ...others];
}

function network(settings: Settings, wire: WireName, topicPrefix: string, node: P2PNode): P2PNetwork {
  const isBoth = settings.p2p_wire === 'both';
  return {
    name: isBoth ? `${wire} ${topicPrefix}` : topicPrefix,
    topicPrefix,
    wire: WIRE_FORMATS[wire],
    topics: wire === 'go-p2p' ? fullTopicNames(settings, topicPrefix) : busTopicNames(settings, topicPrefix),
    node,
  };
}

/** Options of the libp2p node of a wire. */
function nodeOptions(settings: Settings, facts: NodeFacts, wire: WireName): Libp2pNodeOptions {
  const common = {
    processName: settings.clientName,
    userAgent: `teranode/bitcoin/${facts.version}`,
    privateKey: facts.privateKey,
    listenIps: settings.p2p_listen_addresses,
    advertiseAddresses: advertiseAddresses(settings, wire),
    sharePrivateAddresses: settings.p2p_share_private_addresses,
    allowPrivateIps: allowsPrivateIps(settings, wire),
    staticPeers: settings.p2p_static_peers,
    optimiseRetries: settings.p2p_optimise_retries,
    connections: connectionLimits(settings, wire),
    peerCache: peerCache(settings, facts.dataFolder, wire),
    mayPublish: publishGate(settings, wire),
    prefersFirstDeliverers: settings.p2p_prefer_first_deliverers,
    verifyThreads: settings.p2p_verify_threads,
    verifier: settings.p2p_verifier,
  };
  return { ...common, ...(wire === 'go-p2p' ? goP2pOptions(settings) : busOptions(settings, facts)) };
}

/** Of two nodes each advertises a port of its own: where an address names `p2p_port`, go-p2p has `p2p_go_p2p_port`. */
function advertiseAddresses(settings: Settings, wire: WireName): readonly string[] {
  const { p2p_advertise_addresses: all, p2p_port: port, p2p_go_p2p_port: ownPort } = settings;
  if (settings.p2p_wire !== 'both' || wire !== 'go-p2p') return all;
  return all.map((address) => withPort(address, port, ownPort));
}

/** A multiaddr of a TCP port; `[IPv6]:port`, `host:port` or `IPv4:port`. */
const WITH_PORT = /^(?:\/\w+\/(?<value>[^/]+)\/tcp\/|(?<host>\[[^\]]+\]|[^:/]+):)(?<port>\d+)$/;

/** Replaces the explicit port `from` of an address. Without `to`, which is bound later, the address names no port. */
function withPort(address: string, from: number, to: number): string {
  const { value, host, port = '' } = WITH_PORT.exec(address)?.groups ?? {};
  if (Number(port) !== from || port === '') return address;
  return to === 0 ? (value ?? host ?? address) : address.slice(0, -port.length) + String(to);
}

function goP2pOptions(settings: Settings) {
  const isPrivate = settings.p2p_dht_use_private;
  return {
    port: settings.p2p_wire === 'both' ? settings.p2p_go_p2p_port : settings.p2p_port,
    presharedKey: isPrivate ? settings.p2p_shared_key : undefined,
    dht: isPrivate
      ? ({ mode: 'private', protocol: `${settings.p2p_dht_protocol_id}/kad/1.0.0` } as const)
      : ({ mode: 'public', protocol: '/ipfs/kad/1.0.0' } as const),
    bootstrapAddresses: bootstrapAddresses(settings),
    bootstrapPersistent: settings.p2p_bootstrap_persistent,
    nat: natOptions(settings),
  };
}

const GRAFT_BACKOFF_FILE = 'graft_backoffs.json';

function busOptions(settings: Settings, { dataFolder }: NodeFacts) {
  const nat = settings.p2p_enable_nat;
  // A silent node announces nothing, not even that it is there.
  const role = settings.listen_mode === 'silent' ? 'off' : (settings.p2p_dht_mode ?? 'off');
  return {
    ...MESSAGE_BUS_OPTIONS,
    protocolVersion: `/teranode/bitcoin/${settings.network}/1.0.0`,
    graftBackoffFile: join(dataFolder, GRAFT_BACKOFF_FILE),
    port: settings.p2p_port,
    presharedKey: undefined,
    dht: { mode: 'public', protocol: '/ipfs/kad/1.0.0', role } as const,
    bootstrapAddresses: bootstrapPeers(settings),
    bootstrapPersistent: true,
    nat: {
      portMap: nat && settings.p2p_enable_nat_port_map,
      portMapRenewalMs: settings.p2p_nat_port_map_renewal_interval,
      autonat: nat,
      holePunching: nat,
      relayClient: settings.p2p_enable_relay,
      relayService: settings.p2p_enable_relay_service,
      forceReachability: settings.p2p_force_reachability === '' ? undefined : settings.p2p_force_reachability,
    },
  };
}

/** Defaults of each wire. */
const CONNECTIONS = {
  'go-p2p': { low: 200, high: 400, graceMs: 60_000 },
  'message-bus': { low: 25, high: 35, graceMs: 20_000 },
} as const;

function connectionLimits(settings: Settings, wire: WireName): Libp2pNodeOptions['connections'] {
  const { low, high, graceMs } = CONNECTIONS[wire];
  const { p2p_conn_low_water: setLow, p2p_conn_high_water: setHigh } = settings;
  return {
    trims: settings.p2p_enable_conn_manager,
    lowWater: setLow ?? Math.min(low, setHigh ?? low),
    highWater: setHigh ?? Math.max(high, setLow ?? high),
    graceMs: settings.p2p_conn_grace_period ?? graceMs,
    maxPerPeer: settings.p2p_max_conns_per_peer,
  };
}

/**
 * What `listen_mode` lets a node publish: one rule, here, for all senders. In listen_only mode that is the handshake on
 * go-p2p and the node status on message-bus.
 */
function publishGate(settings: Settings, wire: WireName): (topicName: string) => boolean {
  if (settings.listen_mode === 'full') return () => true;
  if (settings.listen_mode === 'silent') return () => false;
  const kept = topicPrefixes(settings, wire).map((prefix) =>
    wire === 'go-p2p' ? fullTopicNames(settings, prefix).handshake : busTopicNames(settings, prefix).node_status,
  );
  const topics = new Set(kept);
  return (topicName) => topics.has(topicName);
}

/** In public mode the public network's nodes come first; our own list is added only when it is persistent, as in Go. */
function bootstrapAddresses(settings: Settings): readonly string[] {
  if (settings.p2p_dht_use_private) return settings.p2p_bootstrap_addresses;
  const own = settings.p2p_bootstrap_persistent ? settings.p2p_bootstrap_addresses : [];
  return [...settings.p2p_dht_public_bootstrap, ...own];
}

function natOptions(settings: Settings): Libp2pNodeOptions['nat'] {
  return {
    portMap: settings.p2p_enable_nat_port_map,
    portMapRenewalMs: settings.p2p_nat_port_map_renewal_interval,
    autonat: settings.p2p_enable_autonat_v2 && settings.p2p_enable_nat_service,
    holePunching: settings.p2p_enable_hole_punching,
    relayClient: settings.p2p_enable_relay,
    relayService: settings.p2p_enable_relay_service,
    forceReachability: settings.p2p_force_reachability === '' ? undefined : settings.p2p_force_reachability,
  };
}

/** The node of message-bus reads and writes the file of its Go nodes. */
const PEER_CACHE_FILES = { 'go-p2p': 'teranode_peers.json', 'message-bus': 'p2p_peers.json' } as const;
const PEER_CACHE_TTL_MS = { 'go-p2p': 720 * 3_600_000, 'message-bus': 24 * 3_600_000 } as const;

function peerCache(settings: Settings, dataFolder: string, wire: WireName): Libp2pNodeOptions['peerCache'] {
  if (!settings.p2p_enable_peer_cache || settings.p2p_max_cached_peers === 0) return undefined;
  return {
    file: join(settings.p2p_peer_cache_dir || dataFolder, PEER_CACHE_FILES[wire]),
    maxPeers: settings.p2p_max_cached_peers,
    ttlMs: settings.p2p_peer_cache_ttl ?? PEER_CACHE_TTL_MS[wire],
    format: wire === 'go-p2p' ? 'own' : 'message-bus',
  };
}
