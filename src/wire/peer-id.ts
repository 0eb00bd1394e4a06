// Peer IDs as text: base58 of a multihash. Pure functions, so that the core can check peer IDs without libp2p.
import { base58btc } from 'multiformats/bases/base58';
import type { PeerId } from '../domain/ids.ts';

const IDENTITY = 0x00;
const SHA2_256 = 0x12;
const MAX_CHARS = 64;
/** RSA 0, Ed25519 1, secp256k1 2, ECDSA 3. */
const MAX_KEY_TYPE = 3;
const ED25519 = 1;
/** Keys up to this size are part of the peer ID itself. */
const MAX_INLINE_KEY_BYTES = 42;

/** undefined unless the text is a peer ID in its canonical form. */
export function parsePeerId(text: string): PeerId | undefined {
  if (text.length > MAX_CHARS) return undefined;
  try {
    const bytes = base58btc.decode(`z${text}`);
    const [code, length] = bytes;
    if (bytes.length !== (length ?? 0) + 2) return undefined;
    const isKnown = (code === IDENTITY && isPublicKey(bytes.subarray(2))) || (code === SHA2_256 && length === 32);
    if (!isKnown) return undefined;
    return base58btc.encode(bytes).slice(1) === text ? (text as PeerId) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * libp2p's protobuf form of a key: a known type in field 1, the bytes in field 2, nothing else. Otherwise short texts
 * would pass as peer IDs.
 */
function isPublicKey(bytes: Uint8Array): boolean {
  const [typeTag, type, keyTag, keyLength] = bytes;
  const isForm = typeTag === 0x08 && keyTag === 0x12 && (type ?? 99) <= MAX_KEY_TYPE && keyLength === bytes.length - 4;
  return isForm && bytes.length <= MAX_INLINE_KEY_BYTES && (type !== ED25519 || keyLength === 32);
}

/**
 * The peer ID of a public key in libp2p's protobuf form; undefined for keys that are too long to be part of it (never
 * Ed25519).
 */
export function peerIdFromPublicKey(publicKey: Uint8Array): PeerId | undefined {
  if (publicKey.byteLength === 0 || publicKey.byteLength > MAX_INLINE_KEY_BYTES) return undefined;
  return base58btc.encode(Uint8Array.of(IDENTITY, publicKey.byteLength, ...publicKey)).slice(1) as PeerId;
}
