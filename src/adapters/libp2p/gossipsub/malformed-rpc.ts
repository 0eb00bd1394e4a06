// Tells of broken frames of gossip, which gossipsub drops silently. A neighbour is charged only for what it must have written itself: a frame's
// length and its outermost fields. All else may be an author's doing that honest neighbours pass on as it came: Go keeps unknown fields of a
// message byte by byte and signs over them, takes signatures that we refuse, and packs more ids into a control message than we read.
import type { GossipSub } from '@libp2p/gossipsub';
import type { PeerId as LibPeerId } from '@libp2p/interface';
import type { PeerId } from '../../../domain/ids.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { peerIdText } from '../peer-ids.ts';

/** The parts of the class that are wrapped; private in its type. */
interface GossipInternals {
  decodeRpc(bytes: Uint8Array): unknown;
  handleReceivedRpc(from: LibPeerId, rpc: unknown): Promise<void>;
  handlePeerReadStreamError(error: Error, peerId: LibPeerId): void;
  validateReceivedMessage(relay: LibPeerId, message: unknown): Promise<{ readonly error?: string }>;
}

type BrokenFrame =
  /** No protobuf at all. */
  | 'undecodable'
  /** Protobuf, with something inside that does not decode. */
  | 'undecodable_inside'
  /** The length before the frame is longer than any number that is sent. */
  | 'length'
  /** Over 1 MiB: JavaScript nodes answer what they are asked for in one frame, however long. */
  | 'too_large'
  /** A message whose signature does not verify. */
  | 'signature';

/** What only the neighbour itself can have written. */
const CHARGED: ReadonlySet<BrokenFrame> = new Set(['undecodable', 'length']);

/** What gossipsub calls a signature that does not verify. */
const BAD_SIGNATURE = 'invalid_signature';
/** Names of the errors with which a neighbour's stream ends for what it sent; a lost connection is none. */
const STREAM_ERRORS: Readonly<Record<string, BrokenFrame>> = {
  InvalidDataLengthError: 'too_large',
  InvalidDataLengthLengthError: 'length',
  InvalidMessageLengthError: 'length',
};

/** Stands for a frame that does not decode. */
class Undecodable {
  readonly kind: BrokenFrame;
  constructor(bytes: Uint8Array) {
    this.kind = isProtobuf(bytes) ? 'undecodable_inside' : 'undecodable';
  }
}

/** Call before gossip starts, after its memory was bounded. Throws TypeError when the library no longer has these parts. */
export function reportBrokenFrames(pubsub: GossipSub, metrics: Metrics, broken: (peerId: PeerId) => void): void {
  const internals = pubsub as unknown as GossipInternals;
  const { decodeRpc, handleReceivedRpc, handlePeerReadStreamError, validateReceivedMessage } = internals;
  for (const part of [decodeRpc, handleReceivedRpc, handlePeerReadStreamError, validateReceivedMessage])
    if (typeof part !== 'function') throw new TypeError('gossipsub has not the parts that see broken frames');
  const counter = metrics.counter(
    'teranode_p2p_broken_frames_total',
    'Frames and signatures of gossip that are refused; undecodable and length are charged to the neighbour',
    ['kind'],
  );
  const report = (kind: BrokenFrame, peerId: LibPeerId) => {
    counter.add(1, { kind });
    if (CHARGED.has(kind)) broken(peerIdText(peerId));
  };
  // Decoding does not know the sender, the next step does: what does not decode goes on as a mark.
  internals.decodeRpc = (bytes) => {
    try {
      return decodeRpc.call(pubsub, bytes);
    } catch {
      return new Undecodable(bytes);
    }
  };
  internals.handleReceivedRpc = (from, rpc) => {
    if (!(rpc instanceof Undecodable)) return handleReceivedRpc.call(pubsub, from, rpc);
    report(rpc.kind, from);
    return Promise.resolve();
  };
  internals.handlePeerReadStreamError = (error, peerId) => {
    const kind = STREAM_ERRORS[error.name];
    if (kind !== undefined) report(kind, peerId);
    handlePeerReadStreamError.call(pubsub, error, peerId);
  };
  internals.validateReceivedMessage = (relay, message) =>
    validateReceivedMessage.call(pubsub, relay, message).then((result) => {
      if (result.error === BAD_SIGNATURE) report('signature', relay);
      return result;
    });
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const MAX_VARINT_BYTES = 10;

/** Whether the outermost fields are whole: a tag, and as many bytes as it says. What stands inside is not looked at. */
function isProtobuf(bytes: Uint8Array): boolean {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i += 1) {
      const byte = bytes[at];
      at += 1;
      if (byte === undefined) return Number.NaN;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    return Number.NaN;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (!(tag >= 8)) return false;
    const type = tag % 8;
    const value = type === VARINT || type === BYTES ? varint() : 0;
    if (type === BYTES) at += value;
    else if (type === FIXED64) at += 8;
    else if (type === FIXED32) at += 4;
    else if (type !== VARINT || Number.isNaN(value)) return false;
  }
  return at === bytes.length;
}
