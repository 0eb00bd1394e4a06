// Reports malformed RPCs, which gossipsub drops silently. A peer is penalized only for what it must have written
// itself: an RPC's length and its outermost fields. Anything else may come from an author and be passed on unchanged by
// honest peers: Go keeps unknown fields of a message byte by byte and signs over them, accepts signatures that we
// refuse, and packs more IDs into a control message than we read.
import type { PeerId as LibPeerId } from '@libp2p/interface';
import type { PeerId } from '../../../domain/ids.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';
import { peerIdText } from '../peer-ids.ts';
import type { GossipsubParts, Stage } from './parts.ts';

type MalformedKind =
  /** No protobuf at all. */
  | 'undecodable'
  /** Protobuf, with something inside that does not decode. */
  | 'undecodable_inside'
  /** The length before the RPC is longer than any number that is sent. */
  | 'length'
  /** Over 1 MiB: JavaScript nodes answer an IWANT in one RPC, however long. */
  | 'too_large'
  /** A message whose signature does not verify. */
  | 'signature';

/** What only the peer itself can have written. */
const PENALIZED: ReadonlySet<MalformedKind> = new Set(['undecodable', 'length']);

/** gossipsub's name for a signature that does not verify. */
const INVALID_SIGNATURE = 'invalid_signature';
/** Names of the errors with which a stream ends because of what the peer sent; a lost connection is not among them. */
const STREAM_ERRORS: Readonly<Record<string, MalformedKind>> = {
  InvalidDataLengthError: 'too_large',
  InvalidDataLengthLengthError: 'length',
  InvalidMessageLengthError: 'length',
};

/** Counts malformed RPCs, and names the peers to penalize. */
export class MalformedRpcReport {
  private readonly counter: Counter;
  private readonly penalize: (peerId: PeerId) => void;

  constructor(metrics: Metrics, penalize: (peerId: PeerId) => void) {
    this.penalize = penalize;
    this.counter = metrics.counter(
      'teranode_p2p_broken_frames_total',
      'Malformed RPCs and invalid signatures received; peers are penalized for undecodable and length',
      ['kind'],
    );
  }

  add(kind: MalformedKind, peerId: LibPeerId): void {
    this.counter.add(1, { kind });
    if (PENALIZED.has(kind)) this.penalize(peerIdText(peerId));
  }
}

/** Stands for an RPC that does not decode. */
class Undecodable {
  readonly kind: MalformedKind;
  constructor(bytes: Uint8Array) {
    this.kind = isProtobuf(bytes) ? 'undecodable_inside' : 'undecodable';
  }
}

/**
 * The decoder does not know who sent the RPC, but the step after it does: an RPC that does not decode goes on as a
 * mark.
 */
export class UndecodableRpcs implements Stage<'incoming'> {
  readonly feature = 'undecodableRpcs';
  private readonly report: MalformedRpcReport;

  constructor(report: MalformedRpcReport) {
    this.report = report;
  }

  decodeRpc(next: GossipsubParts['decodeRpc']): GossipsubParts['decodeRpc'] {
    return (bytes) => {
      try {
        return next(bytes);
      } catch {
        return new Undecodable(bytes);
      }
    };
  }

  handleReceivedRpc(next: GossipsubParts['handleReceivedRpc']): GossipsubParts['handleReceivedRpc'] {
    return (from, rpc) => {
      if (!(rpc instanceof Undecodable)) return next(from, rpc);
      this.report.add(rpc.kind, from);
      return Promise.resolve();
    };
  }
}

export class MalformedLengths implements Stage<'incoming'> {
  readonly feature = 'malformedLengths';
  private readonly report: MalformedRpcReport;

  constructor(report: MalformedRpcReport) {
    this.report = report;
  }

  handlePeerReadStreamError(
    next: GossipsubParts['handlePeerReadStreamError'],
  ): GossipsubParts['handlePeerReadStreamError'] {
    return (error, peerId) => {
      const kind = STREAM_ERRORS[error.name];
      if (kind !== undefined) this.report.add(kind, peerId);
      next(error, peerId);
    };
  }
}

export class InvalidSignatures implements Stage<'incoming'> {
  readonly feature = 'invalidSignatures';
  private readonly report: MalformedRpcReport;

  constructor(report: MalformedRpcReport) {
    this.report = report;
  }

  validateReceivedMessage(next: GossipsubParts['validateReceivedMessage']): GossipsubParts['validateReceivedMessage'] {
    return (receivedFrom, message) =>
      next(receivedFrom, message).then((result) => {
        if (result.code === 'invalid' && result.error === INVALID_SIGNATURE) this.report.add('signature', receivedFrom);
        return result;
      });
  }
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const MAX_VARINT_BYTES = 10;

/**
 * Whether the outermost fields are whole: a tag, and as many bytes as it says. The content of the fields is not
 * checked.
 */
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
