// The methods of PeerService by which the node's other services report how peers served them, and ask whom to catch up
// from. Reputation and ban score are apart: nothing here adds to a ban score.
import { PeerService } from '../../gen/p2p_api_pb.js';
import { P2PError } from '../../lib/errors.ts';
import type { AdminApi } from '../../ports/admin-api.ts';
import type { Traces } from '../../ports/traces.ts';
import { checkedHash, checkedText, MAX_TEXT_CHARS } from './checked-text.ts';
import { catchUpPeerMessage, peerRegistryMessage, whyMalicious, whyUnhealthy } from './known-peer-messages.ts';
import type { UnaryHandlers } from './unary-service.ts';

/** Methods that change state and therefore need the admin key. */
export const EXPERIENCE_METHODS = [
  PeerService.method.recordCatchupAttempt,
  PeerService.method.recordCatchupSuccess,
  PeerService.method.recordCatchupFailure,
  PeerService.method.recordCatchupMalicious,
  PeerService.method.updateCatchupError,
  PeerService.method.updateCatchupReputation,
  PeerService.method.reportValidSubtree,
  PeerService.method.reportValidBlock,
  PeerService.method.reportValidBlockHeaders,
  PeerService.method.reportValidatedChainProgress,
  PeerService.method.recordBytesDownloaded,
  PeerService.method.resetReputation,
];

const MAX_CHAIN_WORK_BYTES = 128;
/** Longer responses count as this long. */
const MAX_RESPONSE_MS = 86_400_000n;
const INCOMPLETE_BLOCK = 'block_incomplete';
const RECORDED = { success: true, message: 'recorded' };

type Handlers = UnaryHandlers<typeof PeerService>;
type CatchUpHandlers = Pick<
  Handlers,
  | 'recordCatchupAttempt'
  | 'recordCatchupSuccess'
  | 'recordCatchupFailure'
  | 'recordCatchupMalicious'
  | 'updateCatchupError'
  | 'updateCatchupReputation'
  | 'resetReputation'
>;
type DeliveryHandlers = Pick<
  Handlers,
  | 'reportValidSubtree'
  | 'reportValidBlock'
  | 'reportValidBlockHeaders'
  | 'reportValidatedChainProgress'
  | 'recordBytesDownloaded'
>;
type StandingHandlers = Pick<
  Handlers,
  'getPeersForCatchup' | 'isPeerMalicious' | 'isPeerUnhealthy' | 'getPeerRegistry' | 'getPeer'
>;

export function catchUpHandlers(admin: AdminApi): CatchUpHandlers {
  return {
    recordCatchupAttempt: async ({ peerId }) => {
      await admin.recordPeerEvent(checkedText('peer_id', peerId), { type: 'catchup_attempt' });
      return { ok: true };
    },
    recordCatchupSuccess: async ({ peerId, durationMs }) => {
      const event = { type: 'catchup_success', responseMs: responseMs(durationMs) } as const;
      await admin.recordPeerEvent(checkedText('peer_id', peerId), event);
      return { ok: true };
    },
    recordCatchupFailure: async ({ peerId, failureKind, blockHash }) => {
      const id = checkedText('peer_id', peerId);
      const hash = blockHash === '' ? '' : checkedHash('block_hash', blockHash);
      const isIncomplete = failureKind === INCOMPLETE_BLOCK;
      await admin.recordPeerEvent(id, { type: 'catchup_failure', kind: isIncomplete ? INCOMPLETE_BLOCK : 'generic' });
      if (isIncomplete)
        await admin.recordPeerEvent(id, { type: 'catchup_error', message: `incomplete block ${hash}`.trim() });
      return { ok: true };
    },
    recordCatchupMalicious: async ({ peerId }) => {
      await admin.recordPeerEvent(checkedText('peer_id', peerId), { type: 'catchup_malicious' });
      return { ok: true };
    },
    updateCatchupError: async ({ peerId, errorMsg }) => {
      // A character has two code units at most; the store cuts to whole characters.
      const message = errorMsg.slice(0, 2 * MAX_TEXT_CHARS);
      await admin.recordPeerEvent(checkedText('peer_id', peerId), { type: 'catchup_error', message });
      return { ok: true };
    },
    updateCatchupReputation: async ({ peerId, score }) => {
      if (Number.isNaN(score)) throw new P2PError('INPUT_INVALID', 'score is not a number (expected 0 to 100)');
      await admin.recordPeerEvent(checkedText('peer_id', peerId), { type: 'reputation_set', reputation: score });
      return { ok: true };
    },
    resetReputation: async ({ peerId }) => {
      const peersReset = await admin.resetReputation(peerId === '' ? undefined : checkedText('peer_id', peerId));
      return { ok: true, peersReset };
    },
  };
}

/** `traces`: undefined while tracing is off. */
export function deliveryHandlers(admin: AdminApi, traces?: Traces): DeliveryHandlers {
  return {
    reportValidSubtree: async ({ peerId, subtreeHash }) => {
      const hash = checkedHash('subtree_hash', subtreeHash);
      traces?.record({ kind: 'subtree', hash, name: 'report', attributes: { result: 'valid', author: peerId } });
      await admin.recordPeerEvent(checkedText('peer_id', peerId), { type: 'valid_subtree', responseMs: undefined });
      return RECORDED;
    },
    reportValidBlock: async ({ peerId, blockHash }) => {
      const hash = checkedHash('block_hash', blockHash);
      traces?.record({ kind: 'block', hash, name: 'report', attributes: { result: 'valid', author: peerId } });
      await admin.recordPeerEvent(checkedText('peer_id', peerId), { type: 'valid_block', responseMs: undefined });
      return RECORDED;
    },
    reportValidBlockHeaders: async ({ peerId, durationMs }) => {
      const event = { type: 'valid_headers', responseMs: responseMs(durationMs) } as const;
      await admin.recordPeerEvent(checkedText('peer_id', peerId), event);
      return RECORDED;
    },
    reportValidatedChainProgress: async ({ peerId, height, blockHash, chainWork }) => {
      if (height === 0) throw new P2PError('INPUT_INVALID', 'height is 0 (expected the height of the block)');
      const hash = checkedHash('block_hash', blockHash);
      const event = { type: 'validated_progress', height, hash, chainWork: chainWorkInput(chainWork) } as const;
      await admin.recordPeerEvent(checkedText('peer_id', peerId), event);
      return RECORDED;
    },
    recordBytesDownloaded: async ({ peerId, bytesDownloaded }) => {
      const event = { type: 'bytes_downloaded', bytes: bytesDownloaded } as const;
      await admin.recordPeerEvent(checkedText('peer_id', peerId), event);
      return { ok: true };
    },
  };
}

export function standingHandlers(admin: AdminApi): StandingHandlers {
  return {
    getPeersForCatchup: () => ({ peers: admin.peersForCatchUp().map(catchUpPeerMessage) }),
    isPeerMalicious: ({ peerId }) => {
      const id = checkedText('peer_id', peerId);
      const reason = whyMalicious(admin.knownPeer(id), admin.isBanned(id));
      return { isMalicious: reason !== '', reason };
    },
    isPeerUnhealthy: ({ peerId }) => unhealthyAnswer(admin, peerId),
    getPeerRegistry: () => ({ peers: admin.knownPeers().map(peerRegistryMessage) }),
    getPeer: ({ peerId }) => {
      const peer = admin.knownPeer(checkedText('peer_id', peerId));
      return peer === undefined ? { found: false } : { peer: peerRegistryMessage(peer), found: true };
    },
  };
}

/** An invalid peer ID means an unhealthy peer, not an error: callers ask before they fetch. */
function unhealthyAnswer(admin: AdminApi, peerId: string) {
  try {
    const peer = admin.knownPeer(checkedText('peer_id', peerId));
    const reason = whyUnhealthy(peer);
    return { isUnhealthy: reason !== '', reason, reputationScore: peer?.history.reputation ?? 0 };
  } catch (error) {
    if (!(error instanceof P2PError) || error.code !== 'INPUT_INVALID') throw error;
    return { isUnhealthy: true, reason: error.message, reputationScore: 0 };
  }
}

/** undefined for 0, which means unknown. */
function responseMs(durationMs: bigint): number | undefined {
  if (durationMs <= 0n) return undefined;
  return Number(durationMs < MAX_RESPONSE_MS ? durationMs : MAX_RESPONSE_MS);
}

/** Big-endian. Throws INPUT_INVALID. */
function chainWorkInput(bytes: Uint8Array): bigint {
  if (bytes.length === 0 || bytes.length > MAX_CHAIN_WORK_BYTES) {
    const expected = `expected 1 to ${MAX_CHAIN_WORK_BYTES}`;
    throw new P2PError('INPUT_INVALID', `chain_work has ${bytes.length} bytes (${expected})`);
  }
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}
