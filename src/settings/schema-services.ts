// Settings of what stands beside the P2P network: chain, Kafka, HTTP, gRPC, files.
import { HTTP_READS } from './http-reads.ts';
import { optional, required, setting } from './row.ts';
import {
  adminKey,
  boolean,
  dialAddress,
  httpUrl,
  integer,
  interval,
  kafkaUrl,
  listenAddress,
  listOf,
  matching,
  oneOf,
  storeUrl,
  text,
} from './types.ts';

const OURS = { isOurs: true } as const;

export const SERVICE_SETTINGS = {
  network: required(
    oneOf('mainnet', 'testnet', 'stn', 'regtest', 'teratestnet', 'tstn'),
    'The chain; decides topic prefix and proof-of-work limit. Absent: the last part of chainCfgParams_topicPrefix, when that is one of these.',
    {
      inference: {
        key: 'chainCfgParams_topicPrefix',
        part: (prefix) => prefix.slice(prefix.lastIndexOf('/') + 1),
        what: 'the last part',
      },
    },
  ),
  chainCfgParams_topicPrefix: optional(
    matching('a prefix of letters, digits, _ . / and -', /^[A-Za-z0-9._/-]{1,200}$/),
    'Topic prefix instead of the network’s own (ChainCfgParams.TopicPrefix).',
  ),
  clientName: setting(text, 'teranode', 'Name of this node; Kafka consumer group p2p.<clientName>.'),
  dataFolder: setting(text, './data', 'Everything that this node keeps; never shared by two.'),
  logLevel: setting(
    oneOf('TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'),
    'INFO',
    'Least level that is logged; the ready line and a new admin key always are.',
  ),

  asset_httpAddress: optional(httpUrl, 'DataHub URL announced when no public one is set.'),
  asset_httpPublicAddress: optional(httpUrl, 'DataHub URL announced.'),
  subtreevalidation_blacklisted_baseurls: setting(listOf(text), [], 'DataHubs whose hosts are not used.'),

  blockchain_store: setting(
    storeUrl,
    'sqlite:///blockchain',
    'Store of the embedded chain: sqlite:///name is <dataFolder>/name.db.',
    { isSecret: true },
  ),
  blockchain_grpcAddress: optional(dialAddress, 'Blockchain service; unset: the embedded chain.'),
  blockchain_grpcMaxRetries: optional(integer(0, 1000), 'Instead of grpc_max_retries.'),
  blockchain_grpcRetryBackoff: optional(interval, 'Instead of grpc_retry_backoff.'),
  blockvalidation_grpcAddress: optional(dialAddress, 'Block validation service.'),
  blockvalidation_grpcMaxRetries: optional(integer(0, 1000), 'Instead of grpc_max_retries.'),
  blockvalidation_grpcRetryBackoff: optional(interval, 'Instead of grpc_retry_backoff.'),
  blockassembly_grpcAddress: optional(dialAddress, 'Block assembly service.'),
  blockassembly_grpcMaxRetries: optional(integer(0, 1000), 'Instead of grpc_max_retries.'),
  blockassembly_grpcRetryBackoff: optional(interval, 'Instead of grpc_retry_backoff.'),
  grpc_max_retries: setting(
    integer(0, 1000),
    40,
    'Retries of a call to one of these services, as long as its deadline allows: 10 s with all its retries, at most five with the default waits.',
  ),
  grpc_retry_backoff: setting(
    interval,
    250,
    'First wait between them, doubled each time up to 5 s; a wait that would end after those 10 s is not begun: the call fails.',
  ),
  embedded_chain_headers: optional(text, 'File of consecutive 80-byte headers to import at start.', OURS),
  embedded_chain_mine_interval: optional(interval, 'Mine a block each interval (regtest); unset: no mining.', OURS),

  kafka_blocksConfig: setting(kafkaUrl, 'memory://local/blocks', 'Where block announcements go.'),
  kafka_subtreesConfig: setting(kafkaUrl, 'memory://local/subtrees', 'Where subtree announcements go.'),
  kafka_rejectedTxConfig: setting(kafkaUrl, 'memory://local/rejectedtx', 'Rejected transactions of our validator.'),
  kafka_invalidBlocksConfig: setting(
    kafkaUrl,
    'memory://local/invalid-blocks',
    'Invalid blocks reported by validation.',
  ),
  kafka_invalidSubtreesConfig: setting(
    kafkaUrl,
    'memory://local/invalid-subtrees',
    'Invalid subtrees reported by validation.',
  ),
  kafka_queue_max_messages: setting(
    integer(1, 100_000_000),
    100_000,
    'Messages of a topic waiting for Kafka; the oldest is dropped.',
    OURS,
  ),
  kafka_queue_max_bytes: setting(
    integer(1024, 68_719_476_736),
    67_108_864,
    'Bytes of a topic waiting for Kafka.',
    OURS,
  ),
  KAFKA_ENABLE_TLS: setting(boolean, false, 'TLS to the Kafka brokers.'),
  KAFKA_TLS_SKIP_VERIFY: setting(boolean, false, 'Accept any broker certificate.'),
  KAFKA_TLS_CA_FILE: optional(text, 'Authority that signed the brokers’ certificates.'),
  KAFKA_TLS_CERT_FILE: optional(text, 'Our certificate.'),
  KAFKA_TLS_KEY_FILE: optional(text, 'Key of our certificate.'),

  p2p_http_listen_address: setting(listenAddress, ':9906', 'HTTP of this node.', { also: ['p2p_httpListenAddress'] }),
  p2p_http_cors_origins: setting(listOf(text), ['*'], 'Origins of web pages that may ask over HTTP; *: all.', OURS),
  p2p_http_rate: setting(
    integer(0, 1_000_000),
    50,
    'Requests a second of one address, ten times as many at once; probes and WebSockets are not counted, /metrics by itself; 0: no limit.',
    OURS,
  ),
  p2p_http_public_reads: setting(
    listOf(oneOf('all', ...HTTP_READS)),
    [],
    'API reads that do not need the admin key. On a listener bound to loopback no read needs it.',
    OURS,
  ),
  p2p_http_public_metrics: setting(
    boolean,
    true,
    'Whether /metrics is open without the admin key. On a listener bound to loopback it always is.',
    OURS,
  ),
  p2p_ws_origins: setting(listOf(text), ['*'], 'Origins of web pages that may open a WebSocket; *: all.', OURS),
  p2p_ws_max_clients: setting(integer(1, 100_000), 2000, 'WebSocket clients at a time.', OURS),
  p2p_ws_max_clients_per_address: optional(
    integer(1, 100_000),
    'WebSocket clients of one address (IPv6: of one /64); unset: half of p2p_ws_max_clients. Behind a proxy all have its address.',
    OURS,
  ),
  p2p_ws_buffer_frames: setting(
    integer(16, 1_000_000),
    4000,
    'Frames that wait for a slow WebSocket client; the oldest are dropped.',
    OURS,
  ),
  p2p_http_address: optional(dialAddress, 'Where clients find that HTTP.', { also: ['p2p_httpAddress'] }),
  health_check_httpListenAddress: optional(listenAddress, 'Second place for /health/readiness and /health/liveness.'),
  securityLevelHTTP: setting(integer(0, 1), 0, '1 serves HTTPS.'),
  server_certFile: optional(
    text,
    'Certificate for HTTPS and gRPC; above security_level_grpc 0 also our client certificate for the services that we call.',
  ),
  server_keyFile: optional(text, 'Key of that certificate.'),
  server_caFile: optional(
    text,
    'Authority of client certificates (level 3), and of the services that we call over TLS; unset: for these the public ones.',
    OURS,
  ),
  p2p_grpc_listen_address: setting(listenAddress, ':9904', 'gRPC of this node.', { also: ['p2p_grpcListenAddress'] }),
  p2p_grpc_address: optional(dialAddress, 'Where clients find that gRPC.', { also: ['p2p_grpcAddress'] }),
  security_level_grpc: setting(
    integer(0, 3),
    0,
    '1 TLS, 2 any client certificate, 3 verified ones; above 0 the blockchain, block validation and block assembly services are called over TLS too.',
    {
      also: ['securityLevelGRPC'],
    },
  ),
  grpc_admin_api_key: optional(
    adminKey,
    'Admin key of this server, needed by requests that change state. Unset: one is generated and stored in <dataFolder>/admin.key.',
    { isSecret: true },
  ),
  p2p_services_api_key: optional(
    text,
    'API key sent with every call to the blockchain, block validation and block assembly services. Unset: none. Readable on the network unless security_level_grpc is above 0.',
    { isOurs: true, isSecret: true },
  ),
};
