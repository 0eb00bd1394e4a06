// Converts values of the ports to protobuf messages and back. 0 or empty on the wire means unknown; numbers are clamped
// to their fields.

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { BanEntry, BanKind, Explanation } from '../../domain/ban.ts';
import type { BanReason, ExplainedOffence, RoleScore, ScoreRole } from '../../domain/offence.ts';
import { citedRules } from '../../domain/offences.ts';
import { type Peer, PeerSchema } from '../../gen/p2p_api_pb.js';
import type {
  Ban,
  BanSchema,
  ConnectedPeer,
  ConnectedPeerSchema,
  ExplainResponse,
  ExplainResponseSchema,
  Offence,
  RoleScore as RoleScoreMessage,
} from '../../gen/teranode_p2p_pb.js';
import type { PeerDeliveries, PeerStanding, PeerStatus, PeerView } from '../../ports/admin-api.ts';
import { parseHash } from '../../wire/hash.ts';
import { parsePeerId } from '../../wire/peer-id.ts';

const INT32_MAX = 2_147_483_647;
const UINT32_MAX = 4_294_967_295;
const INT32_MIN = -2_147_483_648;

/** A connected peer as `GetPeers` returns it: times in whole seconds, claims as the peer made them. */
export interface PeerSummary
  extends Omit<PeerView, 'id' | 'addresses' | keyof PeerStanding | keyof PeerStatus | keyof PeerDeliveries> {
  readonly id: string;
  /** Multiaddr of its first connection; empty when unknown. */
  readonly address: string;
}

/** Unknown fields stay 0 or empty. */
export function peerMessage(peer: PeerView): MessageInitShape<typeof PeerSchema> {
  return {
    id: peer.id,
    addr: peer.addresses[0] ?? '',
    addrLocal: peer.localAddress ?? '',
    services: peer.services ?? '',
    lastSend: seconds(peer.lastSendMs),
    lastRecv: seconds(peer.lastReceiveMs),
    bytesSent: whole(peer.bytesSent),
    bytesReceived: whole(peer.bytesReceived),
    inbound: peer.direction === 'inbound',
    connTime: seconds(peer.connectedAtMs),
    pingTime: whole((peer.pingMs ?? 0) * 1000),
    subVer: peer.agentVersion ?? '',
    startingHeight: int32(peer.startingHeight),
    currentHeight: int32(peer.height),
    banscore: int32(peer.banScore),
    whitelisted: peer.isWhitelisted,
  };
}

export function peerSummary(peer: Peer): PeerSummary {
  return {
    id: peer.id,
    address: peer.addr,
    localAddress: peer.addrLocal || undefined,
    direction: peer.inbound ? 'inbound' : 'outbound',
    connectedAtMs: Number(peer.connTime) * 1000,
    agentVersion: peer.subVer || undefined,
    services: peer.services || undefined,
    lastSendMs: Number(peer.lastSend) * 1000 || undefined,
    lastReceiveMs: Number(peer.lastRecv) * 1000 || undefined,
    bytesSent: Number(peer.bytesSent),
    bytesReceived: Number(peer.bytesReceived),
    pingMs: Number(peer.pingTime) / 1000 || undefined,
    startingHeight: peer.startingHeight || undefined,
    height: peer.currentHeight || undefined,
    banScore: peer.banscore,
    isWhitelisted: peer.whitelisted,
  };
}

export function connectedPeerMessage(peer: PeerView): MessageInitShape<typeof ConnectedPeerSchema> {
  return {
    peer: peerMessage(peer),
    bestBlockHash: peer.bestBlockHash ?? '',
    claimedAtMs: whole(peer.claimedAtMs ?? 0),
    ...(peer.provenHeight === undefined ? {} : { provenHeight: peer.provenHeight }),
    provenHash: peer.provenHash ?? '',
    dataHubUrl: peer.dataHubUrl ?? '',
    dataHubHealth: peer.dataHubHealth,
    lastMessageMs: whole(peer.lastMessageMs ?? 0),
    banned: peer.isBanned,
    ...(peer.startingHeight === undefined ? {} : { startingHeight: uint32(peer.startingHeight) }),
    ...(peer.height === undefined ? {} : { height: uint32(peer.height) }),
  };
}

export function connectedPeer(message: ConnectedPeer): PeerSummary & PeerStanding {
  const peer = peerSummary(message.peer ?? create(PeerSchema));
  return {
    ...peer,
    startingHeight: message.startingHeight ?? peer.startingHeight,
    height: message.height ?? peer.height,
    bestBlockHash: parseHash(message.bestBlockHash),
    claimedAtMs: Number(message.claimedAtMs) || undefined,
    provenHeight: message.provenHeight,
    provenHash: parseHash(message.provenHash),
    dataHubUrl: message.dataHubUrl || undefined,
    dataHubHealth: oneOf<PeerStanding['dataHubHealth']>(['unknown', 'healthy', 'unhealthy'], message.dataHubHealth),
    lastMessageMs: Number(message.lastMessageMs) || undefined,
    isBanned: message.banned,
  };
}

export function banMessage(ban: BanEntry): MessageInitShape<typeof BanSchema> {
  const { key, kind, reason, evidence, source } = ban;
  return {
    key,
    kind,
    until: seconds(ban.untilMs),
    createdAt: seconds(ban.createdAtMs),
    reason,
    evidence,
    source,
    because: ban.causedBy ?? '',
  };
}

export function banEntry(ban: Ban): BanEntry {
  return {
    key: ban.key,
    kind: oneOf<BanKind>(['address', 'subnet', 'peer'], ban.kind),
    untilMs: Number(ban.until) * 1000,
    createdAtMs: Number(ban.createdAt) * 1000,
    reason: ban.reason,
    evidence: ban.evidence,
    source: oneOf<BanEntry['source']>(['operator', 'automatic', 'imported', 'service'], ban.source),
    causedBy: parsePeerId(ban.because),
  };
}

export function explanationMessage(explanation: Explanation): MessageInitShape<typeof ExplainResponseSchema> {
  const { subject, offences, inForce, withheld, addressesSeen } = explanation;
  return {
    subject,
    scores: explanation.scores.map(scoreMessage),
    scoreKeptBy: explanation.scoreKeptBy,
    shadowScores: explanation.shadowScores.map(scoreMessage),
    threshold: int32(explanation.threshold),
    offences: offences.map(({ isShadow, atMs, points, hash, ...rest }) => ({
      ...rest,
      points: int32(points),
      hash: hash ?? '',
      atMs: whole(atMs),
      shadow: isShadow,
    })),
    inForce: inForce.map(banMessage),
    withheld: [...withheld],
    whitelisted: explanation.isWhitelisted,
    addressesSeen: [...addressesSeen],
  };
}

export function explanation(message: ExplainResponse): Explanation {
  return {
    subject: message.subject,
    scores: message.scores.map(roleScore),
    scoreKeptBy: message.scoreKeptBy === 'blockchain service' ? 'blockchain service' : 'this node',
    shadowScores: message.shadowScores.map(roleScore),
    threshold: message.threshold,
    offences: message.offences.map(offence),
    rules: citedRules(message.offences),
    inForce: message.inForce.map(banEntry),
    withheld: message.withheld,
    isWhitelisted: message.whitelisted,
    addressesSeen: message.addressesSeen,
  };
}

function offence(message: Offence): ExplainedOffence {
  return {
    subject: message.subject,
    role: role(message.role),
    reason: oneOf<BanReason>(
      [
        'unknown',
        'invalid_subtree',
        'protocol_violation',
        'spam',
        'invalid_block',
        'catch_up_failure',
        'catch_up_malicious',
      ],
      message.reason,
    ),
    points: message.points,
    rule: message.rule,
    topic: message.topic,
    hash: parseHash(message.hash),
    atMs: Number(message.atMs),
    isShadow: message.shadow,
  };
}

function scoreMessage(score: RoleScore): { role: string; score: number } {
  return { role: score.role, score: int32(score.score) };
}

function roleScore(message: RoleScoreMessage): RoleScore {
  return { role: role(message.role), score: message.score };
}

function role(text: string): ScoreRole {
  return oneOf<ScoreRole>(['author', 'relay', 'datahub'], text);
}

/** One of a closed set; a name that a newer server added is read as the first. */
function oneOf<T extends string>(names: readonly [T, ...T[]], text: string): T {
  return names.find((name) => name === text) ?? names[0];
}

/** Unix seconds of unix ms. */
export function seconds(ms: number | undefined): bigint {
  return whole((ms ?? 0) / 1000);
}

export function whole(value: number): bigint {
  return Number.isFinite(value) && value > 0 ? BigInt(Math.floor(value)) : 0n;
}

function uint32(value: number): number {
  return Math.trunc(Math.min(UINT32_MAX, Math.max(0, value)));
}

export function int32(value: number | undefined): number {
  if (value === undefined || Number.isNaN(value)) return 0;
  return Math.trunc(Math.min(INT32_MAX, Math.max(INT32_MIN, value)));
}
