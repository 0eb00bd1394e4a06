// Settings of the P2P network itself.
import { optional, required, setting } from './row.ts';
import {
  advertised,
  boolean,
  duration,
  integer,
  ip,
  listOf,
  listOrNone,
  matching,
  oneOf,
  oneOfOr,
  peerId,
  peerMultiaddr,
  port,
  storeUrl,
  text,
} from './types.ts';

const topic = matching('a topic name of letters, digits, _ . and -', /^[A-Za-z0-9._-]{1,100}$/);
const sharedKey = matching('64 hex digits', /^[0-9a-fA-F]{64}$/);
const privateKey = matching('64 or 96 bytes as hex (128 or 192 digits)', /^(?:[0-9a-fA-F]{128}|[0-9a-fA-F]{192})$/);
/** Names of what charges an author or stops a message; the last three charge by reports of validation and by broken frames. */
const SHADOW_RULES = [
  'author_rate',
  'relay_rate',
  'replay',
  'height_implausible',
  'work_implausible',
  'datahub_url',
  'hash_form',
  'author_mismatch',
  'header_mismatch',
  'proof_of_work',
  'invalid_block_report',
  'invalid_subtree_report',
  'broken_frame',
] as const;
const LATER = { inEffect: false } as const;
const OURS = { isOurs: true } as const;

/** The bootstrap nodes of the public IPFS network, which Go's public mode uses. */
const IPFS_BOOTSTRAP = [
  'QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN',
  'QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa',
  'QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb',
  'QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt',
].map((id) => `/dnsaddr/bootstrap.libp2p.io/p2p/${id}`);

export const P2P_SETTINGS = {
  p2p_port: required(port, 'TCP port of the P2P node; 0 takes a free one.'),
  p2p_listen_addresses: setting(listOf(ip), ['0.0.0.0'], 'IPs to listen on, v4 and v6.'),
  p2p_advertise_addresses: setting(
    listOf(advertised),
    [],
    'Addresses told to peers, host or host:port; the port defaults to p2p_port.',
  ),
  p2p_block_topic: required(topic, 'Topic of block announcements.'),
  p2p_subtree_topic: required(topic, 'Topic of subtree announcements.'),
  p2p_handshake_topic: required(topic, 'Topic of version and verack.'),
  p2p_mining_on_topic: required(topic, 'Topic of mining-on messages.'),
  p2p_rejected_tx_topic: required(topic, 'Topic of rejected transactions.'),
  p2p_node_status_topic: setting(topic, 'node_status', 'Topic of node status messages.'),
  p2p_bestblock_topic: setting(topic, 'bestblock', 'Topic of best-block messages.', LATER),
  p2p_further_topic_prefixes: setting(listOf(text), [], 'Further topic prefixes heard and announced on.', {
    isOurs: true,
    inEffect: false,
  }),
  p2p_shared_key: optional(sharedKey, 'Key of the private network (PSK); needed in public mode too, as in Go.', {
    isSecret: true,
  }),
  p2p_private_key: optional(
    privateKey,
    'Ed25519 key of this node; else from the blockchain state store, else generated and stored.',
    { isSecret: true },
  ),
  p2p_dht_protocol_id: setting(
    matching('a path such as /teranode', /^\/[A-Za-z0-9._/-]{1,100}$/),
    '/teranode',
    'Protocol prefix of the private DHT.',
  ),
  p2p_dht_use_private: setting(boolean, false, 'Private network: PSK and a DHT of its own.'),
  p2p_dht_public_bootstrap: setting(
    listOrNone(text),
    IPFS_BOOTSTRAP,
    'Bootstrap nodes of the public DHT; empty: none.',
    OURS,
  ),
  p2p_optimise_retries: setting(boolean, false, 'Leave out dials that cannot work until something changes.'),
  p2p_static_peers: setting(listOf(peerMultiaddr), [], 'Peers to stay connected to.'),
  p2p_bootstrap_addresses: setting(listOf(peerMultiaddr), [], 'Peers through which the network is found.', {
    also: ['p2p_bootstrapAddresses'],
  }),
  p2p_bootstrap_persistent: setting(boolean, false, 'Reconnect to bootstrap addresses for ever.'),
  p2p_share_private_addresses: setting(boolean, true, 'Tell peers our private addresses too.'),
  listen_mode: setting(oneOf('full', 'listen_only'), 'full', 'listen_only publishes nothing but the handshake.'),
  p2p_enable_nat_service: setting(boolean, true, 'Find out by peers whether we are reachable (AutoNAT).'),
  p2p_enable_hole_punching: setting(boolean, true, 'Direct connections through NAT (DCUtR); needs p2p_enable_relay.'),
  p2p_enable_relay: setting(boolean, true, 'Dial and be dialled through relays.'),
  p2p_enable_nat_port_map: setting(boolean, true, 'Map the port on the router (UPnP).'),
  p2p_enable_autonat_v2: setting(boolean, true, 'AutoNAT version 2.'),
  p2p_enable_relay_service: setting(boolean, false, 'Relay for other peers.'),
  p2p_force_reachability: setting(
    oneOf('', 'public', 'private'),
    '',
    'private reserves a place at a relay that we are connected to.',
  ),
  p2p_enable_conn_manager: setting(boolean, true, 'Trim connections at the high-water mark.'),
  p2p_conn_low_water: setting(integer(1, 100_000), 200, 'Peers kept when trimming.'),
  p2p_conn_high_water: setting(integer(1, 100_000), 400, 'Peers above which trimming begins.'),
  p2p_conn_grace_period: setting(duration, 60_000, 'Young connections that trimming spares.'),
  p2p_enable_conn_gater: setting(boolean, false, 'Read for compatibility: the gate is always on here.'),
  p2p_max_conns_per_peer: setting(integer(1, 100), 3, 'Connections of one peer.'),
  p2p_enable_peer_cache: setting(boolean, true, 'Remember peers across restarts.'),
  p2p_peer_cache_dir: optional(text, 'Folder of the peer cache; default dataFolder.'),
  p2p_max_cached_peers: setting(integer(0, 10_000), 100, 'Peers remembered.'),
  p2p_peer_cache_ttl: setting(duration, 720 * 3_600_000, 'How long a peer is remembered.'),
  p2p_peer_map_max_size: setting(
    integer(1, 10_000_000),
    100_000,
    'Announcements remembered, of blocks and of subtrees each.',
  ),
  p2p_peer_map_ttl: setting(duration, 30 * 60_000, 'How long an announcement is remembered.'),
  p2p_peer_map_cleanup_interval: setting(duration, 5 * 60_000, 'How often old announcements are swept.'),
  p2p_verify_header_pow: setting(boolean, true, 'Reject block announcements whose header lacks proof of work.', OURS),
  p2p_require_header: setting(boolean, false, 'Reject block announcements without a header.', OURS),
  p2p_min_peers_for_sync: setting(integer(0, 1000), 2, 'Peers awaited before a sync peer is chosen.', LATER),
  p2p_max_wait_for_min_peers: setting(duration, 20_000, 'How long they are awaited.', LATER),
  p2p_force_sync_peer: optional(peerId, 'Sync from this peer only.', LATER),
  p2p_handshake_topic_size: setting(
    integer(0, 1000),
    1,
    'Subscribers of the handshake topic before the first version.',
    LATER,
  ),
  p2p_handshake_topic_timeout: setting(duration, 5000, 'How long they are awaited.', LATER),
  p2p_ban_threshold: setting(integer(1, 1_000_000), 100, 'Score at which a peer is banned.'),
  p2p_ban_duration: setting(duration, 24 * 3_600_000, 'Length of an automatic ban.'),
  p2p_ban_default_duration: setting(duration, 24 * 3_600_000, 'Length of a ban without an end.'),
  p2p_ban_persist_path: optional(text, 'Where bans are kept; default dataFolder.'),
  p2p_ban_max_entries: setting(integer(1, 10_000_000), 100_000, 'Entries of the ban list.'),
  p2p_ban_store: optional(
    storeUrl,
    'Store of bans and scores; default blockchain_store when that is PostgreSQL, else SQLite at p2p_ban_persist_path.',
    { isOurs: true, isSecret: true },
  ),
  p2p_ban_whitelist: setting(
    listOf(oneOfOr(peerId, 'static', 'bootstrap')),
    [],
    'Peers that are never banned automatically: static, bootstrap (those of the settings), peer ids.',
    OURS,
  ),
  p2p_policy_mode: setting(
    oneOf('enforce', 'shadow'),
    'enforce',
    'shadow: rules of policy and automatic bans are noted and do nothing.',
    OURS,
  ),
  p2p_policy_shadow_rules: setting(
    listOf(oneOf(...SHADOW_RULES)),
    [],
    'Rules that are only noted while the others are enforced.',
    OURS,
  ),
  p2p_author_rate: setting(integer(0, 1_000_000), 500, 'Messages a second of one author; 0: no limit.', OURS),
  p2p_author_burst: setting(integer(1, 10_000_000), 10_000, 'Messages of one author at once.', OURS),
  p2p_relay_rate: setting(
    integer(0, 1_000_000),
    0,
    'Messages a second of one neighbour, twenty times that at once; 0: no limit.',
    OURS,
  ),
  p2p_max_target_ratio: setting(
    integer(0, 1_000_000),
    16,
    'A block header’s target may be this many times that of our own recent tip; 0: any. Off on networks that allow minimum-difficulty blocks.',
    OURS,
  ),
  p2p_allow_private_datahubs: setting(boolean, false, 'DataHub URLs may lead to private addresses.', OURS),
};
