// The node's key as settings give it: an Ed25519 seed and the public key that belongs to it. Checked here already, because a pair that does
// not belong together would sign what nobody can verify.
import { createPrivateKey, createPublicKey } from 'node:crypto';

const SEED_BYTES = 32;
/** A private Ed25519 key in PKCS #8 (RFC 8410) is this and the seed. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

/** True for hex of 64 bytes (seed, public), or 96 (the public half twice), whose public half is the seed's own. */
export function isKeyPair(hex: string): boolean {
  if (!/^(?:[0-9a-f]{128}|[0-9a-f]{192})$/i.test(hex)) return false;
  const bytes = Buffer.from(hex, 'hex');
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
