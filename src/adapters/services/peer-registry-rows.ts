// Checks what the peer registry says of a peer, and converts it. An invalid row costs only itself.
import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import type { PeerId } from '../../domain/ids.ts';
import type { PeerHistory, ValidatedProgress } from '../../domain/peer-history.ts';
import type { PeerRegistryInfo } from '../../gen/blockchain_api_pb.js';
import { hashFromBytes } from '../../wire/hash.ts';
import { parsePeerId } from '../../wire/peer-id.ts';
import { oneLine } from './rpc-failure.ts';

const HASH_BYTES = 32;
/** The longest that the service takes. */
const MAX_WORK_BYTES = 128;
const NEUTRAL_REPUTATION = 50;
const MAX_REPUTATION = 100;

export interface PeerRow {
  readonly history: PeerHistory;
  readonly score: number;
  /** `full`, `pruned`, or empty. */
  readonly storage: string;
  readonly isConnected: boolean;
}

/** undefined for an invalid peer ID, such as `legacy:host:port`. */
export function peerRow(info: PeerRegistryInfo): PeerRow | undefined {
  const id = parsePeerId(info.peerId);
  if (id === undefined) return undefined;
  const { banScore, storage, isConnected } = info;
  return { history: historyOf(id, info), score: Math.max(0, banScore), storage, isConnected };
}

function historyOf(id: PeerId, info: PeerRegistryInfo): PeerHistory {
  return {
    id,
    attempts: count(info.interactionAttempts),
    successes: count(info.interactionSuccesses),
    failures: count(info.interactionFailures),
    malicious: count(info.maliciousCount),
    lastAttemptMs: time(info.lastInteractionAttempt),
    lastSuccessMs: time(info.lastInteractionSuccess),
    lastFailureMs: time(info.lastInteractionFailure),
    reputation: reputation(info.reputationScore),
    avgResponseMs: count(info.avgResponseTimeMs),
    catchupAttempts: count(info.catchupAttempts),
    catchupSuccesses: count(info.catchupSuccesses),
    catchupFailures: count(info.catchupFailures),
    lastCatchupError: oneLine(info.lastCatchupError),
    lastCatchupErrorMs: time(info.lastCatchupErrorTime),
    blocksReceived: count(info.blocksReceived),
    subtreesReceived: count(info.subtreesReceived),
    transactionsReceived: count(info.transactionsReceived),
    lastBlockMs: time(info.lastBlockTime),
    bytesReceived: info.bytesReceived,
    validated: progress(info),
    syncAttempts: Math.max(0, info.syncAttemptCount),
    lastSyncAttemptMs: time(info.lastSyncAttempt),
    resets: Math.max(0, info.reputationResetCount),
    lastResetMs: time(info.lastReputationReset),
    fullStoragePenaltyUntilMs: time(info.fullStoragePenaltyUntil),
  };
}

function progress(info: PeerRegistryInfo): ValidatedProgress | undefined {
  const { validatedHeight: height, validatedBlockHash: hash, validatedChainWork: work } = info;
  if (hash.byteLength !== HASH_BYTES || work.byteLength === 0 || work.byteLength > MAX_WORK_BYTES) return undefined;
  const chainWork = BigInt(`0x${Buffer.from(work).toString('hex')}`);
  return { height, hash: hashFromBytes(hash), chainWork, atMs: time(info.lastValidatedAt) ?? 0 };
}

function count(value: bigint): number {
  return value > 0n ? Number(value) : 0;
}

/** Go writes its zero time, which lies before 1970, for what never happened. */
function time(timestamp: Timestamp | undefined): number | undefined {
  const ms = timestamp === undefined ? 0 : timestampMs(timestamp);
  return ms > 0 ? ms : undefined;
}

function reputation(value: number): number {
  return Number.isNaN(value) ? NEUTRAL_REPUTATION : Math.min(MAX_REPUTATION, Math.max(0, value));
}
