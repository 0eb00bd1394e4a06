// What a library user imports. Every export is listed by name; anything else may change without notice.

export { EmbeddedChain, type EmbeddedChainOptions } from './adapters/embedded-chain/embedded-chain.ts';
export {
  decodeKafkaBlock,
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
  decodeKafkaRejectedTx,
  decodeKafkaSubtree,
  encodeKafkaBlock,
  encodeKafkaInvalidBlock,
  encodeKafkaInvalidSubtree,
  encodeKafkaRejectedTx,
  encodeKafkaSubtree,
} from './adapters/kafka/codec.ts';
export { parsePrivateKey } from './adapters/libp2p/identity.ts';
export { Libp2pNode, type Libp2pNodeDependencies } from './adapters/libp2p/libp2p-node.ts';
export type { Libp2pNodeOptions } from './adapters/libp2p/node-options.ts';
export {
  MemoryBroker,
  MemoryConsumer,
  type MemoryConsumerOptions,
  MemoryProducer,
  type MemoryProducerOptions,
} from './adapters/memory/broker.ts';
export type { App, AppOptions } from './app/compose.ts';
export { compose } from './app/compose-on-demand.ts';
export type { HealthReport } from './app/health/health.ts';
export { type Endpoint, Server, type ServerDependencies, type ServerOptions, type ServerReady } from './app/server.ts';
export type { BlockAnnouncement, SubtreeAnnouncement } from './domain/announcement.ts';
export type { BlockHash, Hash, PeerId, SubtreeHash } from './domain/ids.ts';
export type { BlockAssemblyDetails, NodeStatusMessage } from './domain/node-status.ts';
export type { InvalidBlockReport, InvalidSubtreeReport, RejectedTxReport } from './domain/report.ts';
export type { ValidationResult } from './gossip/validation-result.ts';
export { ERROR_CODES, type ErrorCode, P2PError } from './lib/errors.ts';
export * from './library/index.ts';
export { type Announcement, Attribution, type AttributionOptions } from './peers/attribution.ts';
export type {
  BlockchainClient,
  BlockchainNotification,
  BlockHeaderRecord,
  FsmState,
} from './ports/blockchain-client.ts';
export { type Clock, systemClock } from './ports/clock.ts';
export type { ConnectionPolicy } from './ports/connection-policy.ts';
export type { ConsumedMessage, Consumer, MessageHandler } from './ports/consumer.ts';
export type { Logger } from './ports/log.ts';
export type { Counter, Histogram, Labels, Metrics } from './ports/metrics.ts';
export type {
  DirectStream,
  DirectStreamHandler,
  GossipMessage,
  JoinedTopic,
  P2PNode,
  PeerRecord,
  PublishOutcome,
  TopicHandler,
  ValidationDecision,
} from './ports/p2p-node.ts';
export type { ProbeResult, Producer } from './ports/producer.ts';
export type { Progress } from './ports/progress.ts';
export { type KafkaUrl, parseKafkaUrl } from './settings/kafka-url.ts';
export { type LoadedSettings, loadSettings, type SettingSources, type Settings } from './settings/load.ts';
export { type BestBlockMessage, decodeBestBlock, encodeBestBlock } from './wire/best-block.ts';
export { type BlockMessage, decodeBlock, encodeBlock } from './wire/block.ts';
export type { Decoded, Fault, FaultCode } from './wire/fault.ts';
export { decodeHandshake, encodeHandshake, type HandshakeMessage } from './wire/handshake.ts';
export { doubleSha256, hashFromBytes, hashToBytes, parseHash } from './wire/hash.ts';
export {
  type BlockHeader,
  checkProofOfWork,
  compactFromTarget,
  encodeHeader,
  hashHeader,
  parseHeader,
  targetFromCompact,
  workOfTarget,
} from './wire/header.ts';
export { decodeMiningOn, encodeMiningOn, type MiningOnMessage } from './wire/mining-on.ts';
export { NETWORKS, type Network, type NetworkParameters } from './wire/networks.ts';
export { decodeNodeStatus, encodeNodeStatus } from './wire/node-status.ts';
export { decodePeerDiscovery, type PeerDiscovery } from './wire/peer-discovery.ts';
export { parsePeerId, peerIdFromPublicKey } from './wire/peer-id.ts';
export { decodeRejectedTx, encodeRejectedTx, type RejectedTxMessage } from './wire/rejected-tx.ts';
export { decodeSubtree, encodeSubtree, type SubtreeMessage } from './wire/subtree.ts';
export { topicName } from './wire/topics.ts';
