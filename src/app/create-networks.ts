// The networks that this server belongs to, with the libp2p node that they share.
import { join } from 'node:path';
import { Libp2pNode, type Libp2pNodeDependencies } from '../adapters/libp2p/libp2p-node.ts';
import type { Libp2pNodeOptions } from '../adapters/libp2p/node-options.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Settings } from '../settings/load.ts';
import { fullTopicNames, topicPrefixes } from '../settings/topic-names.ts';
import { GO_P2P } from '../wire/format.ts';

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
   * Makes the node in the place of ours, from what ours is made of; `() => node` where it needs none of it. What ours
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

/** Our own network first, then `p2p_further_topic_prefixes` on the same node, then the caller's. */
export function createNetworks(
  settings: Settings,
  deps: NodeDependencies,
  facts: NodeFacts,
  own: OwnNetworks = {},
): readonly [P2PNetwork, ...P2PNetwork[]] {
  const options = nodeOptions(settings, facts);
  const node = own.node?.(deps, options) ?? new Libp2pNode(deps, options);
  const networks = topicPrefixes(settings).map(
    (topicPrefix): P2PNetwork => ({
      name: topicPrefix,
      topicPrefix,
      wire: GO_P2P,
      topics: fullTopicNames(settings, topicPrefix),
      node,
    }),
  );
  const [first, ...others] = [...networks, ...(own.furtherNetworks?.(deps, options) ?? [])];
  if (first === undefined) throw new RangeError('a server belongs to one network at least');
  return [first, ...others];
}

const PEER_CACHE_FILE = 'teranode_peers.json';

/** Options of the libp2p node. */
function nodeOptions(settings: Settings, facts: NodeFacts): Libp2pNodeOptions {
  const isPrivate = settings.p2p_dht_use_private;
  const handshakeTopics = new Set(topicPrefixes(settings).map((prefix) => fullTopicNames(settings, prefix).handshake));
  return {
    processName: settings.clientName,
    userAgent: `teranode/bitcoin/${facts.version}`,
    privateKey: facts.privateKey,
    listenIps: settings.p2p_listen_addresses,
    port: settings.p2p_port,
    advertiseAddresses: settings.p2p_advertise_addresses,
    sharePrivateAddresses: settings.p2p_share_private_addresses,
    presharedKey: isPrivate ? settings.p2p_shared_key : undefined,
    dht: isPrivate
      ? { mode: 'private', protocol: `${settings.p2p_dht_protocol_id}/kad/1.0.0` }
      : { mode: 'public', protocol: '/ipfs/kad/1.0.0' },
    staticPeers: settings.p2p_static_peers,
    bootstrapAddresses: bootstrapAddresses(settings),
    bootstrapPersistent: settings.p2p_bootstrap_persistent,
    optimiseRetries: settings.p2p_optimise_retries,
    connections: {
      trims: settings.p2p_enable_conn_manager,
      lowWater: settings.p2p_conn_low_water,
      highWater: settings.p2p_conn_high_water,
      graceMs: settings.p2p_conn_grace_period,
      maxPerPeer: settings.p2p_max_conns_per_peer,
    },
    nat: natOptions(settings),
    peerCache: peerCache(settings, facts.dataFolder),
    // In listen_only mode only the handshake is published: one rule, here, for all senders.
    mayPublish: settings.listen_mode === 'listen_only' ? (topic) => handshakeTopics.has(topic) : () => true,
  };
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
    autonat: settings.p2p_enable_autonat_v2 && settings.p2p_enable_nat_service,
    holePunching: settings.p2p_enable_hole_punching,
    relayClient: settings.p2p_enable_relay,
    relayService: settings.p2p_enable_relay_service,
    forceReachability: settings.p2p_force_reachability === '' ? undefined : settings.p2p_force_reachability,
  };
}

function peerCache(settings: Settings, dataFolder: string): Libp2pNodeOptions['peerCache'] {
  if (!settings.p2p_enable_peer_cache || settings.p2p_max_cached_peers === 0) return undefined;
  return {
    file: join(settings.p2p_peer_cache_dir || dataFolder, PEER_CACHE_FILE),
    maxPeers: settings.p2p_max_cached_peers,
    ttlMs: settings.p2p_peer_cache_ttl,
  };
}
