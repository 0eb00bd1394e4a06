// `teranode-p2p/client`: what a program imports to administer a running node. It does not load the server.

export type { ChainHeader } from '../adapters/grpc/chain-header-message.ts';
export type { PeerSummary } from '../adapters/grpc/messages.ts';
export type { NodeSummary } from '../adapters/grpc/status-message.ts';
export type { ClientTlsOptions } from '../adapters/rpc/tls.ts';
export type { BanEntry, BanKind, Explanation } from '../domain/ban.ts';
export type { BanReason, ExplainedOffence, Offence, RoleScore, ScoreRole } from '../domain/offence.ts';
export { ERROR_CODES, type ErrorCode, P2PError } from '../lib/errors.ts';
export type { PeerStanding, ScoreReason } from '../ports/admin-api.ts';
export {
  type AttemptOutcome,
  createPeerClient,
  type PeerClient,
  type PeerClientOptions,
} from './peer-client.ts';
