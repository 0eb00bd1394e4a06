// Peer ids as text: base58 of a multihash. Pure, so that the core can check them without libp2p.
import { base58btc } from 'multiformats/bases/base58';
import type { PeerId } from '../domain/ids.ts';

const IDENTITY = 0x00;
const SHA2_256 = 0x12;
const MAX_CHARS = 64;
/** RSA 0, Ed25519 1, secp256k1 2, ECDSA 3. */
const MAX_KEY_TYPE = 3;
const ED25519 = 1;
/** Keys up to this size stand in the id itself. */
const MAX_INLINE_KEY_BYTES = 42;

/** undefined unless the text is a peer id in its canonical form. */
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

/** libp2p's protobuf form: field 1 a known type of key, field 2 its bytes, nothing else; short texts would pass for ids otherwise. */
function isPublicKey(bytes: Uint8Array): boolean {
  const [typeTag, type, keyTag, keyLength] = bytes;
  const isForm = typeTag === 0x08 && keyTag === 0x12 && (type ?? 99) <= MAX_KEY_TYPE && keyLength === bytes.length - 4;
  return isForm && bytes.length <= MAX_INLINE_KEY_BYTES && (type !== ED25519 || keyLength === 32);
}

/** Id of a public key in libp2p's protobuf form; undefined for keys too long to stand in an id (never Ed25519). */
export function peerIdFromPublicKey(publicKey: Uint8Array): PeerId | undefined {
  if (publicKey.byteLength === 0 || publicKey.byteLength > MAX_INLINE_KEY_BYTES) return undefined;
  return base58btc.encode(Uint8Array.of(IDENTITY, publicKey.byteLength, ...publicKey)).slice(1) as PeerId;
}
