// Options of the libp2p node as plain values; compose derives them from the settings.
import type { Ed25519PrivateKey } from '@libp2p/interface';

export interface ConnectionLimits {
  /** `p2p_enable_conn_manager`; false: connections are never trimmed. */
  readonly trims: boolean;
  readonly lowWater: number;
  readonly highWater: number;
  readonly graceMs: number;
  /** `p2p_max_conns_per_peer`. */
  readonly maxPerPeer: number;
}

export interface NatOptions {
  /** `p2p_enable_nat_port_map`. */
  readonly portMap: boolean;
  /** `p2p_enable_autonat_v2` and `p2p_enable_nat_service`. */
  readonly autonat: boolean;
  /** `p2p_enable_hole_punching`; needs the relay client. */
  readonly holePunching: boolean;
  /** `p2p_enable_relay`: dial and be dialled through relays. */
  readonly relayClient: boolean;
  /** `p2p_enable_relay_service`: relay for others. */
  readonly relayService: boolean;
  /** `p2p_force_reachability`; `private`: reserves a slot at a relay that the node is connected to. */
  readonly forceReachability: 'public' | 'private' | undefined;
}

export interface DhtOptions {
  readonly mode: 'private' | 'public';
  /** Protocol of the DHT, `/teranode/kad/1.0.0` or `/ipfs/kad/1.0.0`. */
  readonly protocol: string;
}

export interface Libp2pNodeOptions {
  readonly processName: string;
  /** Sent in identify: `teranode/bitcoin/<version>`. */
  readonly userAgent: string;
  readonly privateKey: Ed25519PrivateKey;
  /** IPs, v4 and v6. */
  readonly listenIps: readonly string[];
  /** 0: any free port. */
  readonly port: number;
  readonly advertiseAddresses: readonly string[];
  readonly sharePrivateAddresses: boolean;
  /** 64 hex digits; undefined on a public network. */
  readonly presharedKey: string | undefined;
  readonly dht: DhtOptions;
  readonly staticPeers: readonly string[];
  readonly bootstrapAddresses: readonly string[];
  readonly bootstrapPersistent: boolean;
  readonly optimiseRetries: boolean;
  readonly connections: ConnectionLimits;
  readonly nat: NatOptions;
  readonly peerCache: { readonly file: string; readonly maxPeers: number; readonly ttlMs: number } | undefined;
  /** False for topics that `listen_only` keeps this node from publishing on. */
  readonly mayPublish: (topicName: string) => boolean;
}
