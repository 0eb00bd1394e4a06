// Settings of the P2P network itself.
import { optional, required, setting } from './row.ts';
import {
  advertised,
  age,
  boolean,
  integer,
  interval,
  ip,
  lifetime,
  listOf,
  listOrNone,
  matching,
  oneOf,
  oneOfOr,
  peerId,
  peerMultiaddr,
  port,
  privateKey,
  storeUrl,
  text,
  waiting,
} from './types.ts';

const topic = matching('topic name of letters, digits, _ . and -', /^[A-Za-z0-9._-]{1,100}$/);
const sharedKey = matching('64 hex digits', /^[0-9a-fA-F]{64}$/);
/**
 * Rules that add to a ban score or stop a message. The last four act on validation reports, malformed RPCs and failed
 * catch-ups.
 */
const SHADOW_RULES = [
  'author_rate',
  'author_bytes',
  'author_time',
  'relay_rate',
  'relay_bytes',
  'status_rate',
  'replay',
  'height_implausible',
  'work_implausible',
  'datahub_url',
  'low_reputation',
  'hash_form',
  'author_mismatch',
  'header_mismatch',
  'proof_of_work',
  'invalid_block_report',
  'invalid_subtree_report',
  'broken_frame',
  'peer_failure',
] as const;
const OURS = { isOurs: true } as const;
const MIB = 1024 * 1024;

/** As Teranode's services word them, and the names of their errors. */
const OWN_REASONS = [
  'already exists',
  'already known',
  'block exists',
  'subtree exists',
  'by operator',
  'by the operator',
  'canceled',
  'cancelled',
  'deadline exceeded',
  'timeout',
  'timed out',
  'time out',
  'storage',
  'not found',
  'service error',
  'service unavailable',
  'connection refused',
];

/** Bootstrap nodes of the public IPFS network, as the Go service uses them in public mode. */
const IPFS_BOOTSTRAP = [
  'QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN',
  'QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa',
  'QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb',
  'QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt',
].map((id) => `/dnsaddr/bootstrap.libp2p.io/p2p/${id}`);

export const P2P_SETTINGS = {
  p2p_port: required(port, 'TCP port for P2P connections. 0 picks a free port.'),
  p2p_listen_addresses: setting(listOf(ip), ['0.0.0.0'], 'IPv4 and IPv6 addresses to listen on for P2P connections.'),
  p2p_advertise_addresses: setting(
    listOf(advertised),
    [],
    'Addresses announced to peers. The port defaults to p2p_port. When p2p_wire is both, the go-p2p node announces p2p_go_p2p_port in place of p2p_port.',
  ),
  p2p_block_topic: required(topic, 'Topic for block announcements.'),
  p2p_subtree_topic: required(topic, 'Topic for subtree announcements.'),
  p2p_handshake_topic: optional(topic, 'Topic for version and verack messages. Required on go-p2p.'),
  p2p_mining_on_topic: optional(topic, 'Topic for mining-on messages. Required on go-p2p.'),
  p2p_rejected_tx_topic: required(topic, 'Topic for rejected transactions.'),
  p2p_node_status_topic: setting(topic, 'node_status', 'Topic for node status messages.'),
  p2p_bestblock_topic: setting(topic, 'bestblock', 'Topic for best-block messages.'),
  p2p_further_topic_prefixes: setting(listOf(text), [], 'Additional topic prefixes to subscribe to and publish on.', {
    isOurs: true,
  }),
  p2p_shared_key: optional(
    sharedKey,
    'Pre-shared key (PSK) of the private network. Required on go-p2p when p2p_dht_use_private is true.',
    {
      isSecret: true,
    },
  ),
  p2p_private_key: optional(
    privateKey,
    'Ed25519 key of this node. Unset: read from the state store of the blockchain service; if there is none, generated and stored there.',
    { isSecret: true },
  ),
  p2p_dht_protocol_id: setting(
    matching('path such as /teranode', /^\/[A-Za-z0-9._/-]{1,100}$/),
    '/teranode',
    'Protocol prefix of the private DHT.',
  ),
  p2p_dht_use_private: setting(
    boolean,
    false,
    'Joins a private network: connections use the PSK, and the DHT is private. false: public mode.',
  ),
  p2p_dht_public_bootstrap: setting(
    listOrNone(peerMultiaddr),
    IPFS_BOOTSTRAP,
    'Bootstrap nodes of the public DHT. Empty: none.',
    OURS,
  ),
  p2p_optimise_retries: setting(boolean, false, 'Skips dialing attempts that cannot succeed until something changes.'),
  p2p_static_peers: setting(
    listOf(peerMultiaddr),
    [],
    'Peers to stay connected to. Lost connections are dialed again.',
  ),
  p2p_bootstrap_addresses: setting(
    listOf(peerMultiaddr),
    [],
    'Peers to connect to first, to discover the rest of the network.',
    {
      also: ['p2p_bootstrapAddresses'],
    },
  ),
  p2p_bootstrap_persistent: setting(
    boolean,
    false,
    'Keeps reconnecting to bootstrap addresses, including those of p2p_dht_public_bootstrap.',
  ),
  p2p_share_private_addresses: setting(boolean, true, 'Announces private IP addresses of this node to peers.'),
  listen_mode: setting(
    oneOf('full', 'listen_only', 'silent'),
    'full',
    'full: receives and publishes. listen_only: publishes only handshake messages (go-p2p) or the node status (message-bus). silent: publishes nothing.',
  ),
  p2p_enable_nat_service: setting(
    boolean,
    true,
    'Lets peers test whether this node is reachable from outside (AutoNAT).',
  ),
  p2p_enable_hole_punching: setting(
    boolean,
    true,
    'Tries direct connections through NAT (DCUtR). Needs p2p_enable_relay.',
  ),
  p2p_enable_relay: setting(boolean, true, 'Connects through circuit relays, in both directions.'),
  p2p_enable_nat_port_map: setting(boolean, true, 'Maps p2p_port on the router (UPnP).'),
  p2p_nat_port_map_renewal_interval: setting(
    interval,
    600_000,
    'How often port mappings are renewed on the router; after it restarts, the node is not reachable for so long.',
    OURS,
  ),
  p2p_enable_autonat_v2: setting(boolean, true, 'Uses AutoNAT version 2.'),
  p2p_enable_relay_service: setting(boolean, false, 'Serves as a circuit relay for other peers.'),
  p2p_force_reachability: setting(
    oneOf('', 'public', 'private'),
    '',
    'Overrides the detected reachability. private: reserves a slot at a connected circuit relay. Empty: detect.',
  ),
  p2p_enable_conn_manager: setting(boolean, true, 'Closes connections above p2p_conn_high_water.'),
  p2p_conn_low_water: optional(
    integer(1, 100_000),
    'Number of peers kept when connections are trimmed. Unset: 200 on go-p2p, 25 on message-bus.',
  ),
  p2p_conn_high_water: optional(
    integer(1, 100_000),
    'Number of peers above which connections are trimmed. Unset: 400 on go-p2p, 35 on message-bus.',
  ),
  p2p_conn_grace_period: optional(
    age,
    'Minimum age of a connection before it can be trimmed. Unset: 60s on go-p2p, 20s on message-bus.',
  ),
  p2p_enable_conn_gater: setting(
    boolean,
    false,
    'Accepted for compatibility and ignored: bans are always enforced on connections.',
  ),
  p2p_max_conns_per_peer: setting(integer(1, 100), 3, 'Maximum number of connections per peer.'),
  p2p_enable_peer_cache: setting(boolean, true, 'Remembers peers across restarts.'),
  p2p_peer_cache_dir: optional(text, 'Folder for the peer cache. Unset: dataFolder.'),
  p2p_max_cached_peers: setting(integer(0, 10_000), 100, 'Maximum number of remembered peers.'),
  p2p_peer_cache_ttl: optional(lifetime, 'How long a peer is remembered. Unset: 720h on go-p2p, 24h on message-bus.'),
  p2p_peer_map_max_size: setting(
    integer(1, 10_000_000),
    100_000,
    'Maximum number of remembered announcements; blocks and subtrees are counted separately.',
    OURS,
  ),
  p2p_peer_map_ttl: setting(lifetime, 30 * 60_000, 'How long an announcement is remembered.', OURS),
  p2p_peer_map_cleanup_interval: setting(interval, 5 * 60_000, 'How often expired announcements are removed.', OURS),
  p2p_verify_header_pow: setting(
    boolean,
    true,
    'Rejects block announcements whose header has no valid proof of work.',
    OURS,
  ),
  p2p_require_header: setting(boolean, false, 'Rejects block announcements without a header.', OURS),
  p2p_min_peers_for_sync: setting(integer(0, 1000), 2, 'Number of peers to wait for before choosing a sync peer.'),
  p2p_max_wait_for_min_peers: setting(waiting, 20_000, 'Maximum time to wait for p2p_min_peers_for_sync.'),
  p2p_force_sync_peer: optional(peerId, 'Syncs only from this peer.'),
  p2p_handshake_topic_size: setting(
    integer(0, 1000),
    1,
    'Number of handshake topic subscribers to wait for before sending the first version message.',
  ),
  p2p_handshake_topic_timeout: setting(waiting, 5000, 'Maximum time to wait for p2p_handshake_topic_size.'),
  p2p_ban_threshold: setting(integer(1, 1_000_000), 100, 'Ban score at which a peer is banned.'),
  p2p_ban_duration: setting(lifetime, 24 * 3_600_000, 'Duration of automatic bans.'),
  p2p_ban_default_duration: setting(lifetime, 24 * 3_600_000, 'Duration of bans that operators add without an end.'),
  p2p_ban_persist_path: optional(text, 'Folder for the ban store. Unset: dataFolder.'),
  p2p_ban_max_entries: setting(integer(1, 10_000_000), 100_000, 'Maximum number of bans.'),
  p2p_ban_store: optional(
    storeUrl,
    'Store for bans and ban scores. Unset: blockchain_store if that is PostgreSQL, else SQLite in p2p_ban_persist_path.',
    { isOurs: true, isSecret: true },
  ),
  p2p_ban_whitelist: setting(
    listOf(oneOfOr(peerId, 'static', 'bootstrap')),
    [],
    'Peers that are never banned automatically: static (p2p_static_peers), bootstrap (bootstrap addresses), or peer IDs.',
    OURS,
  ),
  p2p_policy_mode: setting(
    oneOf('enforce', 'shadow'),
    'enforce',
    'enforce: policy rules and automatic bans take effect. shadow: they are only recorded.',
    OURS,
  ),
  p2p_policy_shadow_rules: setting(
    listOf(oneOf(...SHADOW_RULES)),
    [],
    'Rules that are only recorded while the others are enforced. hash_form, author_mismatch, header_mismatch and proof_of_work still stop invalid messages; only their ban points are not counted.',
    OURS,
  ),
  p2p_report_own_reasons: setting(
    listOf(text),
    OWN_REASONS,
    'Words in the reason of a validation report for which nobody is penalized, because they tell of our own node or of the network. Case and punctuation do not matter.',
    OURS,
  ),
  p2p_author_rate: setting(
    integer(0, 1_000_000),
    500,
    'Gossip messages per second per author and wire. 0: unlimited.',
    OURS,
  ),
  p2p_author_burst: setting(integer(1, 10_000_000), 10_000, 'Burst of gossip messages per author and wire.', OURS),
  p2p_relay_rate: setting(
    integer(0, 1_000_000),
    0,
    'Gossip messages per second per propagation source (burst: 20×). 0: unlimited.',
    OURS,
  ),
  p2p_author_byte_rate: setting(
    integer(0, 1_073_741_824),
    4 * MIB,
    'Bytes of gossip messages per second per author and wire. 0: unlimited.',
    OURS,
  ),
  p2p_author_byte_burst: setting(
    integer(1, 4_294_967_295),
    16 * MIB,
    'Burst of gossip bytes per author and wire.',
    OURS,
  ),
  p2p_relay_byte_rate: setting(
    integer(0, 1_073_741_824),
    8 * MIB,
    'Bytes of gossip messages per second per propagation source (burst: 20×). 0: unlimited.',
    OURS,
  ),
  p2p_status_rate: setting(
    integer(0, 1_000_000),
    5,
    'Node statuses per second per author and wire; nodes send one every 10 s and, on message-bus, one with each block. 0: unlimited.',
    OURS,
  ),
  p2p_status_burst: setting(integer(1, 1_000_000), 100, 'Burst of node statuses per author and wire.', OURS),
  p2p_prefer_first_deliverers: setting(
    boolean,
    true,
    'Neighbours that deliver valid blocks and subtrees first are rather kept in the gossip mesh, half of it at most, and come first among equal sync peers. Does not outweigh any other rule.',
    OURS,
  ),
  p2p_verify_threads: setting(
    integer(0, 4),
    0,
    'Threads that verify signatures of gossip beside the event loop, per wire, out of the four that Node shares with DNS and files. 0: on the event loop. Needs the native addon.',
    OURS,
  ),
  p2p_verifier: setting(
    oneOf('auto', 'native', 'libsodium', 'node:crypto'),
    'auto',
    'Verifies Ed25519 signatures of gossip. auto: the fastest that loads here. A start with another one that does not load fails.',
    OURS,
  ),
  p2p_max_target_ratio: setting(
    integer(0, 1_000_000),
    16,
    'Maximum ratio of a block header’s target to that of our recent tip. 0: any. Not applied on networks that allow minimum-difficulty blocks.',
    OURS,
  ),
  p2p_silent_after: setting(
    age,
    120_000,
    'The feed counts as silent when no valid message came for longer while peers that share topics are connected; every full node sends its status every 10 s. 0: never.',
    OURS,
  ),
  p2p_silent_fails_readiness: setting(
    boolean,
    false,
    'Readiness fails while the feed is silent. false: its check only says so.',
    OURS,
  ),
  p2p_capture_file: optional(
    text,
    'File to record what comes in and what is decided on it, for the command replay. It has addresses and messages of peers, and no secrets. Unset: nothing is recorded.',
    OURS,
  ),
  p2p_capture_max_size: setting(
    integer(MIB, 1024 * 1024 * MIB),
    256 * MIB,
    'Bytes of the capture file, after which it gets the suffix .1 and a new one begins.',
    OURS,
  ),
  p2p_capture_max_files: setting(
    integer(1, 1000),
    4,
    'Maximum number of capture files, the current one included. The oldest is deleted.',
    OURS,
  ),
  p2p_allow_private_datahubs: setting(
    boolean,
    false,
    'Allows DataHub URLs that resolve to private IP addresses.',
    OURS,
  ),
};
