// Hashes as in Bitcoin: 32 bytes in internal order, displayed byte-reversed as lower-case hex.
import { createHash, hash as oneShotHash } from 'node:crypto';
import type { Hash } from '../domain/ids.ts';

const HEX_64 = /^[0-9a-f]{64}$/;
const HEX_64_ANY_CASE = /^[0-9a-fA-F]{64}$/;
const HEX_UP_TO_64 = /^[0-9a-fA-F]{1,64}$/;

/** Accepts 64 hex digits in any case and returns them in lower case; undefined for anything else. */
export function parseHash(text: string): Hash | undefined {
  if (HEX_64.test(text)) return text as Hash;
  return HEX_64_ANY_CASE.test(text) ? (text.toLowerCase() as Hash) : undefined;
}

/** As `parseHash`, but fewer digits are filled up with leading zeros. */
export function parseShortHash(text: string): Hash | undefined {
  return HEX_UP_TO_64.test(text) ? (text.toLowerCase().padStart(64, '0') as Hash) : undefined;
}

/** The bytes in internal order, the reverse of the displayed order. */
export function hashToBytes(hash: Hash): Uint8Array {
  return new Uint8Array(Buffer.from(hash, 'hex').reverse());
}

/** From 32 bytes in internal order. Throws RangeError for another length, which the caller must check. */
export function hashFromBytes(bytes: Uint8Array): Hash {
  if (bytes.byteLength !== 32) throw new RangeError(`a hash has 32 bytes, not ${bytes.byteLength}`);
  return Buffer.from(bytes).reverse().toString('hex') as Hash;
}

/** SHA-256 of SHA-256, in internal order. */
export function doubleSha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256')
    .update(oneShotHash('sha256', bytes, 'buffer'))
    .digest();
}
