// Which calls of the peer registry record an experience with a peer.
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { PeerId } from '../../domain/ids.ts';
import type { PeerEvent } from '../../domain/peer-history.ts';
import { PeerRegistryService, TransportType } from '../../gen/blockchain_api_pb.js';
import { hashToBytes } from '../../wire/hash.ts';
import type { Step } from './peer-registry.ts';
import type { PeerRow } from './peer-registry-rows.ts';

export interface EventContext {
  /** undefined for a peer that the registry may not know: it ignores what is recorded about such peers. */
  readonly known: PeerRow | undefined;
  /** Unix ms at which the penalty for an incomplete block ends that begins now. */
  readonly penaltyUntilMs: () => number;
}

const API = PeerRegistryService.method;
const MAX_ERROR_CHARS = 512;
const FULL = 'full';

/** To be carried out in order. */
export function eventSteps(peerId: PeerId, event: PeerEvent, context: EventContext): readonly Step<unknown>[] {
  const register: Step<unknown> = (send) =>
    send(API.registerPeer, { peer: { peerId, transportType: TransportType.HTTP } });
  return [...(context.known === undefined ? [register] : []), ...stepsOf(peerId, event, context)];
}

function stepsOf(peerId: PeerId, event: PeerEvent, context: EventContext): readonly Step<unknown>[] {
  switch (event.type) {
    case 'sync_attempt':
      return [(send) => send(API.recordSyncAttempt, { peerId })];
    case 'catchup_attempt':
      return [(send) => send(API.recordCatchupAttempt, { peerId })];
    case 'catchup_success': {
      const responseTimeMs = wholeMs(event.responseMs);
      return [(send) => send(API.recordCatchupSuccess, { peerId, responseTimeMs })];
    }
    case 'catchup_failure':
      return [
        (send) => send(API.recordCatchupFailure, { peerId }),
        ...(event.kind === 'block_incomplete' ? penaltySteps(peerId, context) : []),
      ];
    case 'catchup_malicious':
      return [(send) => send(API.updatePeerMetrics, { peerId, recordMalicious: true })];
    case 'catchup_error': {
      const errorMessage = event.message.slice(0, MAX_ERROR_CHARS).toWellFormed();
      return [(send) => send(API.recordCatchupError, { peerId, errorMessage })];
    }
    case 'failure':
      return [(send) => send(API.updatePeerMetrics, { peerId, recordFailure: true })];
    case 'valid_block': {
      const responseTimeMs = wholeMs(event.responseMs);
      return [(send) => send(API.recordBlockReceived, { peerId, responseTimeMs })];
    }
    case 'valid_subtree': {
      const responseTimeMs = wholeMs(event.responseMs);
      return [(send) => send(API.recordSubtreeReceived, { peerId, responseTimeMs })];
    }
    case 'valid_headers': {
      const responseTimeMs = wholeMs(event.responseMs);
      return [(send) => send(API.updatePeerMetrics, { peerId, recordSuccess: true, responseTimeMs })];
    }
    case 'validated_progress': {
      const { height, hash, chainWork } = event;
      const progress = { peerId, height, blockHash: bytes(hashToBytes(hash)), chainWork: bytes(bigEndian(chainWork)) };
      return [(send) => send(API.recordValidatedPeerProgress, progress)];
    }
    case 'bytes_downloaded': {
      const bytesReceivedDelta = event.bytes;
      return [(send) => send(API.updatePeerMetrics, { peerId, bytesReceivedDelta })];
    }
    case 'reputation_set':
      // The registry computes the reputation itself.
      return [];
  }
}

/** As Teranode's own P2P service does: the penalty is registered, and a claim of full storage is taken back. */
function penaltySteps(peerId: PeerId, { known, penaltyUntilMs }: EventContext): readonly Step<unknown>[] {
  const contradictsItself = known?.storage === FULL;
  const register: Step<unknown> = (send) => {
    const fullStoragePenaltyUntil = timestampFromMs(penaltyUntilMs());
    const fullStorageContradictions = contradictsItself ? 1n : 0n;
    return send(API.registerPeer, { peer: { peerId, fullStoragePenaltyUntil, fullStorageContradictions } });
  };
  const takeBack: Step<unknown> = (send) => send(API.updateStorage, { peerId, storage: '' });
  return contradictsItself ? [register, takeBack] : [register];
}

/** 0 stands for unknown. */
function wholeMs(responseMs: number | undefined): bigint {
  return BigInt(Math.max(0, Math.floor(responseMs ?? 0)));
}

function bigEndian(work: bigint): Uint8Array {
  const hex = work.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

/** A copy with an ArrayBuffer of its own, which messages need. */
function bytes(view: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(view);
}
