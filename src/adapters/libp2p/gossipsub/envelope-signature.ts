// Verifies the signature of a gossip message again, from its parts: for replays.
import { parsePeerId } from '../../../wire/peer-id.ts';
import { type Verify, verifierOf } from '../patches/ed25519.ts';
import { libPeerId } from '../peer-ids.ts';
import { PackedBatch } from './packed-batch.ts';
import { isPlainMessage, type PlainMessage, SIGNATURE_BYTES } from './plain-message.ts';

export interface SignedParts {
  readonly topic: string;
  readonly author: string;
  readonly seqno: bigint;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
}

/** undefined: cannot be checked, because the author's key is not part of its ID, or no signature was kept. */
export type SignatureCheck = (parts: SignedParts) => boolean | undefined;

const SEQNO_BYTES = 8;

export function signatureCheck(verify: Verify = verifierOf('auto').verify): SignatureCheck {
  const packed = new PackedBatch();
  const isSigned = (message: PlainMessage, signature: Uint8Array) => {
    packed.clear();
    packed.add(message, signature);
    const [parts] = packed.messages();
    return parts !== undefined && verify(...parts);
  };
  return ({ topic, author, seqno: number, bytes: data, signature }) => {
    const peerId = parsePeerId(author);
    if (peerId === undefined) return false;
    const seqno = Buffer.alloc(SEQNO_BYTES);
    seqno.writeBigUInt64BE(BigInt.asUintN(64, number));
    const from = libPeerId(peerId).toMultihash().bytes;
    const message = { topic, from, data, seqno };
    if (!isPlainMessage(message) || signature.length === 0) return undefined;
    if (signature.length !== SIGNATURE_BYTES) return false;
    // A message without data is signed with an empty field, or with none.
    return isSigned(message, signature) || (data.length === 0 && isSigned({ topic, from, seqno }, signature));
  };
}
