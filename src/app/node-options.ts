// Settings of the P2P network, turned into the options of the libp2p node. Part of the composition, apart because it is long.
import { join } from 'node:path';
import type { Libp2pNodeOptions } from '../adapters/libp2p/node-options.ts';
import type { Settings } from '../settings/load.ts';
import { fullTopicNames, topicPrefixes } from '../settings/topic-names.ts';

export interface NodeFacts {
  readonly privateKey: Libp2pNodeOptions['privateKey'];
  readonly version: string;
  readonly dataFolder: string;
}

const PEER_CACHE_FILE = 'teranode_peers.json';

export function nodeOptions(settings: Settings, facts: NodeFacts): Libp2pNodeOptions {
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
    // listen_only says nothing but the handshake; one rule, here, for all senders.
    mayPublish: settings.listen_mode === 'listen_only' ? (topic) => handshakeTopics.has(topic) : () => true,
  };
}

/** Public mode begins at the public network's nodes; our own list joins in only when persistent, as in Go. */
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
