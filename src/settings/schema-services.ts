// Settings of everything besides the P2P network: chain, Kafka, HTTP, gRPC, files.
import { HTTP_READS } from './http-reads.ts';
import { optional, required, setting } from './row.ts';
import {
  adminKey,
  boolean,
  cidr,
  collectorUrl,
  dialAddress,
  fraction,
  httpUrl,
  integer,
  interval,
  kafkaUrl,
  listenAddress,
  listOf,
  matching,
  oneOf,
  oneOfOr,
  storeUrl,
  text,
} from './types.ts';

const OURS = { isOurs: true } as const;
export const MAX_WS_CLIENTS = 100_000;

export const SERVICE_SETTINGS = {
  network: required(
    oneOf('mainnet', 'testnet', 'stn', 'regtest', 'teratestnet', 'tstn'),
    'Bitcoin network; determines the topic prefix and the proof-of-work limit. Unset: the last part of chainCfgParams_topicPrefix, if that is a known network.',
    {
      inference: {
        key: 'chainCfgParams_topicPrefix',
        part: (prefix) => prefix.slice(prefix.lastIndexOf('/') + 1),
        what: 'the last part',
      },
    },
  ),
  chainCfgParams_topicPrefix: optional(
    matching('prefix of letters, digits, _ . / and -', /^[A-Za-z0-9._/-]{1,200}$/),
    'Overrides the topic prefix of the network (ChainCfgParams.TopicPrefix).',
  ),
  clientName: setting(
    text,
    'teranode',
    'Name of this node; not empty on message-bus. Its Kafka consumer group is p2p.<clientName>.',
  ),
  dataFolder: setting(
    text,
    './data',
    'Folder for the private key, chain, bans, admin key and peer cache. Back it up. Only one running node may use it.',
  ),
  logLevel: setting(
    oneOf('TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'),
    'INFO',
    'Minimum level of log lines. The ready line and the file of a newly generated admin key are always logged.',
  ),

  tracing_enabled: setting(
    boolean,
    false,
    'Exports OpenTelemetry traces of blocks and subtrees; the trace ID follows from the hash (docs/traces.md).',
  ),
  tracing_SampleRate: setting(
    fraction,
    0.01,
    'Share of the subtrees that are traced, chosen by hash. With tracing_enabled every block is traced.',
  ),
  tracing_collector_url: optional(
    collectorUrl,
    'OTLP/HTTP collector of traces, e.g. http://localhost:4318. Unset: OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4318.',
  ),

  asset_httpAddress: optional(
    httpUrl,
    'DataHub URL to announce when asset_httpPublicAddress is unset. Unset too: that of the HTTP listener, which is a small DataHub with the embedded chain; with a blockchain service http://localhost:8090/api/v1.',
  ),
  asset_httpPublicAddress: optional(httpUrl, 'DataHub URL to announce: where peers fetch blocks and subtrees from us.'),
  subtreevalidation_blacklisted_baseurls: setting(listOf(text), [], 'DataHub URLs whose hosts are never used.'),

  blockchain_store: setting(
    storeUrl,
    'sqlite:///blockchain',
    'Store of the embedded chain. sqlite:///name is the file <dataFolder>/name.db.',
    { isSecret: true },
  ),
  blockchain_grpcAddress: optional(
    dialAddress,
    'gRPC address of the blockchain service. Unset: the embedded chain is used.',
  ),
  blockchain_grpcMaxRetries: optional(integer(0, 1000), 'Overrides grpc_max_retries for this service.'),
  blockchain_grpcRetryBackoff: optional(interval, 'Overrides grpc_retry_backoff for this service.'),
  blockvalidation_grpcAddress: optional(dialAddress, 'gRPC address of the block validation service.'),
  blockvalidation_grpcMaxRetries: optional(integer(0, 1000), 'Overrides grpc_max_retries for this service.'),
  blockvalidation_grpcRetryBackoff: optional(interval, 'Overrides grpc_retry_backoff for this service.'),
  blockassembly_grpcAddress: optional(dialAddress, 'gRPC address of the block assembly service.'),
  blockassembly_grpcMaxRetries: optional(integer(0, 1000), 'Overrides grpc_max_retries for this service.'),
  blockassembly_grpcRetryBackoff: optional(interval, 'Overrides grpc_retry_backoff for this service.'),
  grpc_max_retries: setting(
    integer(0, 1000),
    40,
    'Maximum retries of a call to these services. A call with all its retries takes at most 10 s, which allows five retries with the default back-off.',
  ),
  grpc_retry_backoff: setting(
    interval,
    250,
    'Wait before the first retry; doubles with each retry, up to 5 s. A call fails when the next wait would exceed its 10 s.',
  ),
  embedded_chain_headers: optional(
    text,
    'File of consecutive 80-byte block headers that the embedded chain imports at start.',
    OURS,
  ),
  embedded_chain_mine_interval: optional(
    interval,
    'Interval at which the embedded chain mines a block (regtest). Unset: see embedded_chain_lone_mine_interval.',
    OURS,
  ),
  embedded_chain_lone_mine_interval: optional(
    interval,
    'The same for a node that names no peers (p2p_static_peers, p2p_bootstrap_addresses, p2p_bootstrap_peers), so that of the nodes of a test network only the first mines. Unset: no mining.',
    OURS,
  ),

  kafka_blocksConfig: setting(
    kafkaUrl,
    'memory://local/blocks',
    'Kafka topic for block announcements that peers sent. A message is sent at once, or flush_frequency (default 2ms; at least 4ms at 1,000 messages per second, 10ms from 2,500 on) after the batch before it; with flush_bytes (1 MiB) or flush_messages (50000) queued it does not wait. At most 512 KiB or 1,000 messages are sent together.',
  ),
  kafka_subtreesConfig: setting(
    kafkaUrl,
    'memory://local/subtrees',
    'Kafka topic for subtree announcements that peers sent. Batches as in kafka_blocksConfig.',
  ),
  kafka_rejectedTxConfig: setting(
    kafkaUrl,
    'memory://local/rejectedtx',
    'Kafka topic with the transactions that our validator rejected.',
  ),
  kafka_invalidBlocksConfig: setting(
    kafkaUrl,
    'memory://local/invalid-blocks',
    'Kafka topic with the invalid blocks that block validation reports.',
  ),
  kafka_invalidSubtreesConfig: setting(
    kafkaUrl,
    'memory://local/invalid-subtrees',
    'Kafka topic with the invalid subtrees that subtree validation reports.',
  ),
  kafka_queue_max_messages: setting(
    integer(1, 100_000_000),
    100_000,
    'Maximum messages per topic queued for Kafka. The oldest are dropped.',
    OURS,
  ),
  kafka_queue_max_bytes: setting(
    integer(1024, 68_719_476_736),
    67_108_864,
    'Maximum bytes per topic queued for Kafka. The oldest messages are dropped.',
    OURS,
  ),
  KAFKA_ENABLE_TLS: setting(boolean, false, 'Uses TLS for connections to Kafka brokers.'),
  KAFKA_TLS_SKIP_VERIFY: setting(boolean, false, 'Accepts any broker certificate. Insecure.'),
  KAFKA_TLS_CA_FILE: optional(text, 'CA certificate (PEM) that signed the broker certificates.'),
  KAFKA_TLS_CERT_FILE: optional(text, 'Client certificate (PEM) for Kafka.'),
  KAFKA_TLS_KEY_FILE: optional(text, 'Private key (PEM) of the client certificate for Kafka.'),

  p2p_http_listen_address: setting(listenAddress, ':9906', 'Address that the HTTP server listens on.', {
    also: ['p2p_httpListenAddress'],
  }),
  p2p_http_cors_origins: setting(
    listOf(text),
    ['*'],
    'Web origins allowed to read HTTP responses (CORS). * allows all.',
    { isOurs: true, also: ['p2p_websocket_allowed_origins'] },
  ),
  p2p_http_rate: setting(
    integer(0, 1_000_000),
    50,
    'HTTP requests per second per client address (burst: 10×). Health checks and WebSockets are exempt; /metrics is counted separately. 0: unlimited.',
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
  p2p_http_dashboard: setting(
    boolean,
    true,
    'Whether the HTTP server shows the dashboard, a web page, at /. The page reads the API under the same rules as everybody.',
    OURS,
  ),
  p2p_http_allowed_hosts: setting(
    listOf(text),
    [],
    'Names, besides that of p2p_http_address, IP addresses and localhost, by which clients without the admin key may reach the API: on a loopback listener, and wherever p2p_http_cors_origins is narrowed. Protects from DNS rebinding.',
    OURS,
  ),
  p2p_http_trusted_proxies: setting(
    listOf(oneOfOr(cidr, 'none')),
    [],
    'Addresses of reverse proxies. For their connections, limits per address use the last address in X-Forwarded-For that is not a trusted proxy. none: no proxies.',
    OURS,
  ),
  p2p_ws_origins: setting(listOf(text), ['*'], 'Web origins allowed to open a WebSocket. * allows all.', {
    isOurs: true,
    also: ['p2p_websocket_allowed_origins'],
  }),
  p2p_ws_max_clients: setting(
    integer(0, MAX_WS_CLIENTS),
    2000,
    `Maximum number of WebSocket clients. 0: ${MAX_WS_CLIENTS}.`,
    { isOurs: true, also: ['p2p_websocket_max_connections'] },
  ),
  p2p_ws_max_clients_per_address: optional(
    integer(1, MAX_WS_CLIENTS),
    'Maximum number of WebSocket clients per address (IPv6: per /64). Unset: p2p_websocket_max_connections_per_source, else half of p2p_ws_max_clients. Behind a proxy all clients share its address.',
    OURS,
  ),
  p2p_websocket_max_connections_per_source: optional(
    integer(-1, MAX_WS_CLIENTS),
    'As p2p_ws_max_clients_per_address, which takes precedence. 0: a twentieth of p2p_ws_max_clients, at least 4. -1: no limit.',
  ),
  p2p_websocket_trusted_source_cidrs: setting(
    listOf(oneOfOr(cidr, 'none')),
    [],
    'Addresses of WebSocket clients that are exempt from the limit per address. none: no exemptions.',
  ),
  p2p_ws_buffer_frames: setting(
    integer(16, 1_000_000),
    4000,
    'Maximum frames queued for a slow WebSocket client. The oldest are dropped.',
    OURS,
  ),
  p2p_events_kept: setting(
    integer(10, 1_000_000),
    20_000,
    'Maximum events of each type kept for clients of /api/v1/events and /p2p-ws that resume. The oldest are dropped.',
    OURS,
  ),
  p2p_events_kept_bytes: setting(
    integer(65_536, 4_294_967_295),
    16_777_216,
    'Maximum memory of these events together, estimated. The oldest of the type that takes most are dropped.',
    OURS,
  ),
  p2p_history_days: setting(
    integer(0, 3650),
    0,
    'Days for which blocks and hourly counts are kept in the database of p2p_ban_store, for /api/v1/history. 0: no history.',
    OURS,
  ),
  p2p_http_address: optional(dialAddress, 'Address at which clients reach the HTTP server.', {
    also: ['p2p_httpAddress'],
  }),
  health_check_httpListenAddress: optional(
    listenAddress,
    'Additional address to serve /health, /health/readiness and /health/liveness on.',
  ),
  securityLevelHTTP: setting(integer(0, 1), 0, '0: HTTP. 1: HTTPS.'),
  server_certFile: optional(
    text,
    'Certificate (PEM) for HTTPS and gRPC. With security_level_grpc above 0 it is also the client certificate for calls to other services.',
  ),
  server_keyFile: optional(text, 'Private key (PEM) of server_certFile.'),
  server_caFile: optional(
    text,
    'CA certificate (PEM) that verifies clients (security_level_grpc 3) and the services called over TLS. Unset: services are verified with the public CAs.',
    OURS,
  ),
  p2p_grpc_listen_address: setting(listenAddress, ':9904', 'Address that the gRPC server listens on.', {
    also: ['p2p_grpcListenAddress'],
  }),
  p2p_grpc_address: optional(dialAddress, 'Address at which clients reach the gRPC server.', {
    also: ['p2p_grpcAddress'],
  }),
  p2p_grpc_rate: setting(
    integer(0, 1_000_000),
    500,
    'gRPC calls per second per client address (burst: 10×); large or expensive answers count as several. Calls with the admin key and health checks are exempt. 0: unlimited.',
    OURS,
  ),
  security_level_grpc: setting(
    integer(0, 3),
    0,
    '0: no TLS. 1: TLS. 2: TLS with any client certificate. 3: TLS with verified client certificates. Above 0, calls to the blockchain, block validation and block assembly services use TLS too.',
    {
      also: ['securityLevelGRPC'],
    },
  ),
  grpc_admin_api_key: optional(
    adminKey,
    'Admin key of this server, needed by requests that change state. Unset, or a placeholder such as testkey: one is generated and stored in <dataFolder>/admin.key.',
    { isSecret: true },
  ),
  p2p_services_api_key: optional(
    text,
    'API key sent with every call to the blockchain, block validation and block assembly services. Unset: none. Readable on the network unless security_level_grpc is above 0.',
    { isOurs: true, isSecret: true },
  ),
};
