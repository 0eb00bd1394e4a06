// `teranode-p2p/client`: what a program imports to administer a running node. It does not load the server.
export type { PeerSummary } from '../adapters/grpc/messages.ts';
export type { ClientTlsOptions } from '../adapters/rpc/tls.ts';
export { ERROR_CODES, type ErrorCode, P2PError } from '../lib/errors.ts';
export type { ExplainedOffence, Explanation, PeerStanding, RoleScore, ScoreReason } from '../ports/admin-api.ts';
export type { BanEntry, BanKind, BanReason, Offence, ScoreRole } from '../ports/ban-store.ts';
export {
  type AttemptOutcome,
  createPeerClient,
  type PeerClient,
  type PeerClientOptions,
} from './peer-client.ts';
