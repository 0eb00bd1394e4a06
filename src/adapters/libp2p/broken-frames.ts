// Tells of neighbours that send what no honest one passes on: bytes that are no frame of gossip, frames over the limit, messages whose signature is
// wrong (every implementation checks that before it forwards). gossipsub drops these silently.
import type { GossipSub } from '@libp2p/gossipsub';
import type { PeerId as LibPeerId } from '@libp2p/interface';
import type { Metrics } from '../../ports/metrics.ts';
import type { PeerId } from '../../wire/ids.ts';
import { peerIdText } from './peer-ids.ts';

/** The parts of the class that are wrapped; private in its type. */
interface GossipInternals {
  decodeRpc(bytes: Uint8Array): unknown;
  handleReceivedRpc(from: LibPeerId, rpc: unknown): Promise<void>;
  handlePeerReadStreamError(error: Error, peerId: LibPeerId): void;
  validateReceivedMessage(relay: LibPeerId, message: unknown): Promise<{ readonly error?: string }>;
}

/** What gossipsub calls a signature that does not verify. Other faults (no sequence number, say) pass honest Go nodes and blame nobody. */
const BAD_SIGNATURE = 'invalid_signature';

/** Stands for a frame that does not decode. */
const UNDECODABLE = Symbol('undecodable frame');
/** Errors of a stream that the neighbour caused by what it sent; a lost connection is none. */
const FRAME_ERRORS = new Set(['InvalidDataLengthError', 'InvalidDataLengthLengthError', 'InvalidMessageLengthError']);

/** Call before gossip starts, after its memory was bounded. Throws TypeError when the library no longer has these parts. */
export function reportBrokenFrames(pubsub: GossipSub, metrics: Metrics, broken: (peerId: PeerId) => void): void {
  const internals = pubsub as unknown as GossipInternals;
  const { decodeRpc, handleReceivedRpc, handlePeerReadStreamError, validateReceivedMessage } = internals;
  for (const part of [decodeRpc, handleReceivedRpc, handlePeerReadStreamError, validateReceivedMessage])
    if (typeof part !== 'function') throw new TypeError('gossipsub has not the parts that see broken frames');
  const counter = metrics.counter('teranode_p2p_broken_frames_total', 'Frames of gossip that no honest peer sends', [
    'kind',
  ]);
  const report = (kind: string, peerId: PeerId) => {
    counter.add(1, { kind });
    broken(peerId);
  };
  // Decoding does not know the sender, the next step does: what does not decode goes on as a mark.
  internals.decodeRpc = (bytes) => {
    try {
      return decodeRpc.call(pubsub, bytes);
    } catch {
      return UNDECODABLE;
    }
  };
  internals.handleReceivedRpc = (from, rpc) => {
    if (rpc !== UNDECODABLE) return handleReceivedRpc.call(pubsub, from, rpc);
    report('undecodable', peerIdText(from));
    return Promise.resolve();
  };
  internals.handlePeerReadStreamError = (error, peerId) => {
    if (FRAME_ERRORS.has(error.name)) report('too_large', peerIdText(peerId));
    handlePeerReadStreamError.call(pubsub, error, peerId);
  };
  internals.validateReceivedMessage = (relay, message) =>
    validateReceivedMessage.call(pubsub, relay, message).then((result) => {
      if (result.error === BAD_SIGNATURE) report('signature', peerIdText(relay));
      return result;
    });
}
