// Options of the libp2p node as plain values; compose derives them from the settings.
import type { Ed25519PrivateKey } from '@libp2p/interface';
import type { ResolveTxt } from './discovery/dnsaddr.ts';
import type { VerifierChoice } from './patches/ed25519.ts';

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
  /** `p2p_nat_port_map_renewal_interval`. Default: 10 min. */
  readonly portMapRenewalMs?: number;
  /** `p2p_enable_autonat_v2` and `p2p_enable_nat_service`. */
  readonly autonat: boolean;
  /** `p2p_enable_hole_punching`; needs the relay client. */
  readonly holePunching: boolean;
  /** `p2p_enable_relay`: dial and be dialled through relays. */
  readonly relayClient: boolean;
  /** `p2p_enable_relay_service`: relay for others. */
  readonly relayService: boolean;
  /**
   * `p2p_force_reachability`; `private`: reserves a slot at a relay that the node is connected to; undefined: does so when AutoNAT finds it
   * private.
   */
  readonly forceReachability: 'public' | 'private' | undefined;
}

export interface DhtOptions {
  readonly mode: 'private' | 'public';
  /** Protocol of the DHT, `/teranode/kad/1.0.0` or `/ipfs/kad/1.0.0`. */
  readonly protocol: string;
  /** `client`: asks and provides, but does not answer. `off`: no DHT at all. Default: `server`. */
  readonly role?: 'server' | 'client' | 'off';
}

/** Intervals of dials to a listed peer that is not connected, counted from the start or from the loss of the peer. */
export interface DialRhythm {
  readonly fastMs: number;
  /** How long the fast interval lasts. */
  readonly fastForMs: number;
  readonly slowMs: number;
}

export interface PeerCacheOptions {
  readonly file: string;
  /** `p2p_max_cached_peers`: those seen longest ago are evicted first. */
  readonly maxPeers: number;
  /** `p2p_peer_cache_ttl`. */
  readonly ttlMs: number;
  /** Form in which the file is written; both are read. Default: `own`. */
  readonly format?: 'own' | 'message-bus';
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
  readonly peerCache: PeerCacheOptions | undefined;
  /** False for topics that `listen_only` keeps this node from publishing on. */
  readonly mayPublish: (topicName: string) => boolean;
  /** identify's protocolVersion, such as `/teranode/bitcoin/mainnet/1.0.0`. Default: js-libp2p's. */
  readonly protocolVersion?: string;
  /** `message-bus` offers meshsub 1.3 and floodsub too, and identify push. Default: `go-p2p`. */
  readonly protocols?: 'go-p2p' | 'message-bus';
  /** How listed peers are dialled again. Default: a back-off for each. */
  readonly dialRhythm?: DialRhythm;
  /**
   * Resolves listed `/dnsaddr/<host>` addresses to peers, each of which is dialled, and again when none can be reached.
   * Default: libp2p resolves such an address when it is dialled, and connects to one of the peers.
   */
  readonly expandDnsaddr?: boolean;
  /** Offers Noise first, and loads TLS when a peer speaks nothing else. Default: TLS first. */
  readonly prefersNoise?: boolean;
  /** Reads TXT records. Default: the system's name servers. */
  readonly resolveTxt?: ResolveTxt;
  /** Serves the peer-address protocol; without a DHT also asks for the addresses of authors that are not connected. */
  readonly addressRequests?: boolean;
  /**
   * `p2p_allow_private_ips`. False: refuses connections to and from private addresses, except those of static and
   * bootstrap peers. Default: true.
   */
  readonly allowPrivateIps?: boolean;
  /** File that keeps the back-offs of gossipsub across restarts. Default: they are forgotten. */
  readonly graftBackoffFile?: string;
  /** `p2p_prefer_first_deliverers`. Default: false. */
  readonly prefersFirstDeliverers?: boolean;
  /** `p2p_verify_threads`; 0, the default: signatures are verified on the event loop. */
  readonly verifyThreads?: number;
  /** `p2p_verifier`. Default: the fastest that loads. */
  readonly verifier?: VerifierChoice;
}

/** What a node of a message-bus network does differently from one of a go-p2p network. */
export const MESSAGE_BUS_OPTIONS = {
  protocols: 'message-bus',
  // As go-p2p-message-bus does for bootstrap and static peers.
  dialRhythm: { fastMs: 5000, fastForMs: 120_000, slowMs: 30_000 },
  expandDnsaddr: true,
  addressRequests: true,
} as const satisfies Partial<Libp2pNodeOptions>;
