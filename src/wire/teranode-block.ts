// A block as Teranode's asset service sends it: header, number of transactions, size, the roots of its subtrees, its
// coinbase transaction, height. Counts are varints, hashes in internal order. Transactions are in the subtrees.
import type { SubtreeHash } from '../domain/ids.ts';
import { hashToBytes } from './hash.ts';

interface TeranodeBlock {
  /** 80 bytes. */
  readonly header: Uint8Array;
  readonly txCount: bigint;
  readonly sizeInBytes: bigint;
  readonly subtrees: readonly SubtreeHash[];
  readonly coinbase: Uint8Array;
  readonly height: number;
}

export function encodeTeranodeBlock(block: TeranodeBlock): Uint8Array {
  return Buffer.concat([
    block.header,
    varint(block.txCount),
    varint(block.sizeInBytes),
    varint(BigInt(block.subtrees.length)),
    ...block.subtrees.map(hashToBytes),
    block.coinbase,
    varint(BigInt(block.height)),
  ]);
}

/** Bitcoin's CompactSize. */
function varint(value: bigint): Uint8Array {
  if (value < 0xfdn) return Uint8Array.of(Number(value));
  const bytes = Buffer.alloc(9);
  bytes.writeBigUInt64LE(value, 1);
  if (value <= 0xffffn) return Uint8Array.of(0xfd, ...bytes.subarray(1, 3));
  if (value <= 0xffff_ffffn) return Uint8Array.of(0xfe, ...bytes.subarray(1, 5));
  bytes[0] = 0xff;
  return bytes;
}
