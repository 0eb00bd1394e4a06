// Block headers: their 80 bytes, hash, target and work. The arithmetic is that of Bitcoin nodes.

import type { BlockHash, Hash } from '../domain/ids.ts';
import { doubleSha256, hashFromBytes, hashToBytes } from './hash.ts';

export const HEADER_BYTES = 80;

export interface BlockHeader {
  /** int32. */
  readonly version: number;
  readonly previousHash: BlockHash;
  readonly merkleRoot: Hash;
  /** Unix seconds, uint32. */
  readonly time: number;
  /** Target in compact form, uint32. */
  readonly bits: number;
  /** uint32. */
  readonly nonce: number;
}

/** undefined unless there are exactly 80 bytes. */
export function parseHeader(bytes: Uint8Array): BlockHeader | undefined {
  if (bytes.byteLength !== HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    version: view.getInt32(0, true),
    previousHash: hashFromBytes(bytes.subarray(4, 36)),
    merkleRoot: hashFromBytes(bytes.subarray(36, 68)),
    time: view.getUint32(68, true),
    bits: view.getUint32(72, true),
    nonce: view.getUint32(76, true),
  };
}

export function encodeHeader(header: BlockHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, header.version, true);
  bytes.set(hashToBytes(header.previousHash), 4);
  bytes.set(hashToBytes(header.merkleRoot), 36);
  view.setUint32(68, header.time, true);
  view.setUint32(72, header.bits, true);
  view.setUint32(76, header.nonce, true);
  return bytes;
}

/** Double SHA-256 of the 80 bytes, in display order. */
export function hashHeader(bytes: Uint8Array): BlockHash {
  return hashFromBytes(doubleSha256(bytes));
}

/** The target encoded by compact bits; undefined when it is negative, zero or over 256 bits. */
export function targetFromCompact(bits: number): bigint | undefined {
  const exponent = bits >>> 24;
  const mantissa = BigInt(bits & 0x7f_ffff);
  if ((bits & 0x80_0000) !== 0) return undefined;
  const target = exponent <= 3 ? mantissa >> BigInt(8 * (3 - exponent)) : mantissa << BigInt(8 * (exponent - 3));
  return target === 0n || target >= 1n << 256n ? undefined : target;
}

/** The compact form of a target of at most 256 bits, rounded down as Bitcoin does. */
export function compactFromTarget(target: bigint): number {
  let size = Math.ceil(target.toString(16).length / 2);
  let mantissa = Number(size <= 3 ? target << BigInt(8 * (3 - size)) : target >> BigInt(8 * (size - 3)));
  if ((mantissa & 0x80_0000) !== 0) {
    mantissa >>>= 8;
    size += 1;
  }
  return ((size << 24) | mantissa) >>> 0;
}

/** Expected hashes for a target: 2^256 / (target + 1). */
export function workOfTarget(target: bigint): bigint {
  return (1n << 256n) / (target + 1n);
}

/**
 * Whether a header carries the work that its own target asks for, and whether that target is at least as hard as the
 * network's limit. `limitBits` is the network's easiest target in compact form; `hash` is given by callers that have
 * hashed the header already.
 */
export function checkProofOfWork(
  header: Uint8Array,
  limitBits: number,
  hash: BlockHash = hashHeader(header),
): 'ok' | 'bad_target' | 'insufficient_work' {
  const bits = new DataView(header.buffer, header.byteOffset, header.byteLength).getUint32(72, true);
  const target = targetFromCompact(bits);
  const limit = targetFromCompact(limitBits);
  if (target === undefined || limit === undefined || target > limit) return 'bad_target';
  return BigInt(`0x${hash}`) <= target ? 'ok' : 'insufficient_work';
}
