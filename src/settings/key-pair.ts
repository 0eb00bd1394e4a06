// The node's key in the settings: an Ed25519 seed and its public key. The pair is checked when settings are loaded,
// because signatures of a mismatched pair cannot be verified.
import { createPrivateKey, createPublicKey } from 'node:crypto';

const SEED_BYTES = 32;
/** A private Ed25519 key in PKCS #8 (RFC 8410) is this and the seed. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * True for 64 bytes in hex (seed and public key), 96 (public key twice), or libp2p's protobuf form of 64, if the public
 * key belongs to the seed.
 */
export function isKeyPair(hex: string): boolean {
  const [, pair] = /^((?:[0-9a-f]{64})?[0-9a-f]{128})$/i.exec(hex) ?? /^08011240([0-9a-f]{128})$/i.exec(hex) ?? [];
  if (pair === undefined) return false;
  const bytes = Buffer.from(pair, 'hex');
  const own = publicKeyOf(bytes.subarray(0, SEED_BYTES));
  for (let at = SEED_BYTES; at < bytes.length; at += own.length) {
    if (!bytes.subarray(at, at + own.length).equals(own)) return false;
  }
  return true;
}

function publicKeyOf(seed: Buffer): Buffer {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: 'der', type: 'pkcs8' });
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
}
