// Converts known peers to the messages of PeerService, and says which of them are malicious or unhealthy by its
// contract.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PeerInfoForCatchupSchema, PeerRegistryInfoSchema } from '../../gen/p2p_api_pb.js';
import type { KnownPeer } from '../../ports/admin-api.ts';
import { int32, seconds, whole } from './messages.ts';

const MAX_UINT64 = 2n ** 64n - 1n;
const UNHEALTHY_BELOW_REPUTATION = 40;
/** With more interactions than this, half of them must have succeeded. */
const FEW_INTERACTIONS = 10;

/** Unknown fields stay 0 or empty. */
export function peerRegistryMessage(peer: KnownPeer): MessageInitShape<typeof PeerRegistryInfoSchema> {
  const { history } = peer;
  return {
    id: peer.id,
    height: peer.height ?? 0,
    blockHash: peer.bestBlockHash ?? '',
    dataHubUrl: peer.dataHubUrl ?? '',
    banScore: int32(peer.banScore),
    isBanned: peer.isBanned,
    isConnected: peer.isConnected,
    connectedAt: seconds(peer.connectedAtMs),
    bytesReceived: history.bytesReceived < MAX_UINT64 ? history.bytesReceived : MAX_UINT64,
    lastBlockTime: seconds(history.lastBlockMs),
    lastMessageTime: seconds(peer.lastMessageMs),
    interactionAttempts: whole(history.attempts),
    interactionSuccesses: whole(history.successes),
    interactionFailures: whole(history.failures),
    lastInteractionAttempt: seconds(history.lastAttemptMs),
    lastInteractionSuccess: seconds(history.lastSuccessMs),
    lastInteractionFailure: seconds(history.lastFailureMs),
    reputationScore: history.reputation,
    maliciousCount: whole(history.malicious),
    avgResponseTimeMs: whole(history.avgResponseMs),
    storage: peer.storage ?? '',
    clientName: peer.clientName ?? '',
    lastCatchupError: history.lastCatchupError,
    lastCatchupErrorTime: seconds(history.lastCatchupErrorMs),
    ...catchUpCounts(peer),
  };
}

export function catchUpPeerMessage(peer: KnownPeer): MessageInitShape<typeof PeerInfoForCatchupSchema> {
  return {
    id: peer.id,
    height: peer.height ?? 0,
    blockHash: peer.bestBlockHash ?? '',
    dataHubUrl: peer.dataHubUrl ?? '',
    catchupReputationScore: peer.history.reputation,
    ...catchUpCounts(peer),
  };
}

function catchUpCounts({ history }: KnownPeer) {
  return {
    catchupAttempts: whole(history.catchupAttempts),
    catchupSuccesses: whole(history.catchupSuccesses),
    catchupFailures: whole(history.catchupFailures),
  };
}

/** Empty when it is not. */
export function whyMalicious(peer: KnownPeer | undefined, isBanned: boolean): string {
  if (isBanned) return 'the peer is banned';
  return (peer?.history.malicious ?? 0) > 0 ? 'the peer was reported as malicious' : '';
}

/** Empty when it is not. */
export function whyUnhealthy(peer: KnownPeer | undefined): string {
  if (peer === undefined) return 'unknown peer';
  const { reputation, successes, failures } = peer.history;
  if (reputation < UNHEALTHY_BELOW_REPUTATION)
    return `reputation ${reputation.toFixed(2)} is below ${UNHEALTHY_BELOW_REPUTATION}`;
  const interactions = successes + failures;
  const isOftenBad = interactions > FEW_INTERACTIONS && successes < interactions / 2;
  return isOftenBad ? `only ${successes} of ${interactions} interactions succeeded` : '';
}
