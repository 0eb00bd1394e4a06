// Settings of nodes since October 2025 (message-bus).
import { optional, setting } from './row.ts';
import {
  age,
  boolean,
  bootstrapPeer,
  decimal,
  httpUrl,
  integer,
  interval,
  lifetime,
  noneOrListOf,
  oneOf,
  port,
  waiting,
} from './types.ts';

const OURS = { isOurs: true } as const;

export const BUS_SETTINGS = {
  p2p_wire: optional(
    oneOf('go-p2p', 'message-bus', 'both'),
    'Wire to speak: go-p2p (Teranode up to September 2025), message-bus (since October 2025), or both. both requires p2p_dht_use_private and p2p_shared_key. Unset: message-bus when p2p_bootstrap_peers or p2p_dht_mode is set, else go-p2p.',
    OURS,
  ),
  p2p_go_p2p_port: setting(
    port,
    9907,
    'TCP port of the go-p2p node when p2p_wire is both; p2p_port is then that of message-bus and must differ. 0 picks a free port.',
    OURS,
  ),
  p2p_bootstrap_peers: optional(
    noneOrListOf(bootstrapPeer),
    'message-bus: peers to connect to first: multiaddrs with a peer ID, or /dnsaddr/host. Unset: the published name of mainnet, testnet, stn or teratestnet, unless p2p_static_peers is set. none: no bootstrap peers.',
  ),
  p2p_dht_mode: optional(
    oneOf('server', 'client', 'off'),
    'Role of the message-bus node in the public DHT. Unset: off; peers are then discovered through other peers.',
  ),
  p2p_enable_nat: setting(
    boolean,
    false,
    'message-bus: maps p2p_port on the router (UPnP), tests reachability (AutoNAT) and attempts hole punching.',
  ),
  p2p_allow_private_ips: optional(
    boolean,
    'Allows connections to and from private, loopback and link-local addresses, stores and announces them; on message-bus also DataHub URLs there. False: only those of static and bootstrap peers. Unset: true on regtest, when all p2p_listen_addresses are private (for DataHub URLs: loopback), and on go-p2p with p2p_dht_use_private.',
  ),
  p2p_allow_pruned_node_fallback: setting(
    boolean,
    true,
    'message-bus: syncs from a pruned node when no full node is ahead.',
  ),
  p2p_sync_coordinator_periodic_evaluation_interval: setting(
    interval,
    30_000,
    'message-bus: how often the sync peer is evaluated.',
  ),
  p2p_sync_peer_no_progress_timeout: setting(
    interval,
    5 * 60_000,
    'message-bus: time without a new validated block after which the sync peer is replaced.',
  ),
  p2p_max_unvalidated_advertised_height_lead: setting(
    integer(0, 4_294_967_295),
    10_000,
    'message-bus: maximum number of blocks by which an advertised best height may exceed ours; higher claims are capped.',
  ),
  p2p_max_unproven_sync_probes_per_backoff_window: setting(
    integer(0, 1000),
    3,
    'message-bus: maximum number of sync attempts per back-off window with peers whose claimed height is unproven.',
  ),
  p2p_full_storage_penalty_duration: setting(
    age,
    3_600_000,
    'message-bus: how long a peer that delivered an incomplete block is not treated as a full node.',
  ),
  p2p_full_delivery_freshness_window: setting(
    age,
    24 * 3_600_000,
    'message-bus: peers that delivered a validated block within this time are preferred for the sync.',
  ),
  p2p_seen_hash_max_publishers: setting(
    integer(1, 1000),
    3,
    'Maximum number of authors per hash whose announcements are passed to Kafka within 15 s.',
  ),
  p2p_seen_hash_max_size: setting(
    integer(1, 10_000_000),
    10_000,
    'Maximum number of hashes remembered for p2p_seen_hash_max_publishers.',
  ),
  p2p_seen_hash_ttl: setting(lifetime, 2 * 60_000, 'How long a hash is remembered for p2p_seen_hash_max_publishers.'),
  p2p_rejected_tx_publish_rate: setting(
    integer(0, 1_000_000),
    10,
    'Rejected transactions announced per second. 0: unlimited.',
  ),
  p2p_rejected_tx_publish_burst: setting(integer(1, 1_000_000), 100, 'Burst of announced rejected transactions.'),
  p2p_peer_registry_max_size: setting(
    integer(1, 1_000_000),
    10_000,
    'Maximum number of peers whose reputation is remembered.',
  ),
  p2p_peer_registry_ttl: setting(lifetime, 24 * 3_600_000, 'How long the reputation of an absent peer is remembered.'),
  p2p_peer_registry_cleanup_interval: setting(interval, 3_600_000, 'How often expired reputations are removed.'),
  p2p_peer_registry_batch_interval: setting(
    waiting,
    1000,
    'Minimum interval between two registrations of the same peer in the blockchain service.',
  ),
  asset_propagationPublicURL: optional(
    httpUrl,
    'URL to announce where transactions are accepted. Unset: the DataHub URL.',
  ),
  minminingtxfee: setting(decimal, 0.00000001, 'Minimum mining fee to announce, in BSV per kilobyte.'),
  maxscriptsizepolicy: optional(integer(0, 1e15), 'Maximum script size to announce, in bytes.'),
  maxtxsizepolicy: optional(integer(0, 1e15), 'Maximum transaction size to announce, in bytes.'),
  maxtxsigopscountspolicy: optional(integer(0, 1e15), 'Maximum number of signature operations to announce.'),
  global_blockHeightRetention: setting(
    integer(0, 4_294_967_295),
    288,
    'Maximum number of blocks that the block persister may lag behind while this node announces full storage.',
  ),
};
