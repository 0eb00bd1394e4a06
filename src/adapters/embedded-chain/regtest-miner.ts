// Mines regtest blocks: a coinbase with the height (BIP34), a header on the tip, a nonce. Takes about two hashes per
// block.

import type { SubtreeHash } from '../../domain/ids.ts';
import { doubleSha256, hashFromBytes } from '../../wire/hash.ts';
import {
  checkProofOfWork,
  compactFromTarget,
  encodeHeader,
  parseHeader,
  targetFromCompact,
} from '../../wire/header.ts';
import type { NetworkParameters } from '../../wire/networks.ts';
import type { StoredHeader } from './chain-store.ts';
import type { BlockFacts } from './header-rules.ts';

export interface MinedBlock {
  readonly header: Uint8Array;
  readonly facts: BlockFacts;
  /** The block's only transaction. */
  readonly coinbase: Uint8Array;
  /** Root of the block's only subtree. It equals the merkle root, because the block has only a coinbase. */
  readonly subtree: SubtreeHash;
}

const SUBSIDY_SATOSHIS = 50n * 100_000_000n;
const HALVING_BLOCKS = 150;
const BLOCK_VERSION = 0x20000000;
const MAX_NONCE = 0xffff_ffff;
/** The header, and the varint with the number of transactions. */
const BLOCK_OVERHEAD_BYTES = 81n;

/**
 * Mines on `parent`. `minerText` goes into the coinbase. Throws RangeError when no nonce fits, which cannot happen with
 * regtest's target.
 */
export function mineBlock(
  parent: StoredHeader,
  minTime: number,
  nowSeconds: number,
  network: NetworkParameters,
  minerText: string,
): MinedBlock {
  const height = parent.height + 1;
  const coinbase = coinbaseTransaction(height, minerText);
  const merkleRoot = hashFromBytes(doubleSha256(coinbase));
  const parentBits = parseHeader(parent.header)?.bits ?? network.powLimitBits;
  const target = targetFromCompact(parentBits);
  const bits = target === undefined ? network.powLimitBits : compactFromTarget(target);
  const time = Math.max(minTime, nowSeconds);
  for (let nonce = 0; nonce <= MAX_NONCE; nonce += 1) {
    const header = encodeHeader({ version: BLOCK_VERSION, previousHash: parent.hash, merkleRoot, time, bits, nonce });
    if (checkProofOfWork(header, network.powLimitBits) === 'ok') {
      const sizeInBytes = BigInt(coinbase.byteLength) + BLOCK_OVERHEAD_BYTES;
      return { header, coinbase, subtree: merkleRoot, facts: { txCount: 1n, sizeInBytes, miner: minerText } };
    }
  }
  throw new RangeError('no nonce meets the target');
}

function coinbaseTransaction(height: number, minerText: string): Buffer {
  const text = Buffer.from(minerText, 'utf8').subarray(0, 60);
  const script = Buffer.concat([heightPush(height), text]);
  const value = Buffer.alloc(8);
  value.writeBigUInt64LE(SUBSIDY_SATOSHIS >> BigInt(Math.min(63, Math.floor(height / HALVING_BLOCKS))));
  return Buffer.concat([
    Buffer.from('0100000001', 'hex'),
    Buffer.alloc(32),
    Buffer.from('ffffffff', 'hex'),
    Buffer.from([script.byteLength]),
    script,
    Buffer.from('ffffffff01', 'hex'),
    value,
    // OP_TRUE: anyone may spend the output.
    Buffer.from('015100000000', 'hex'),
  ]);
}

/** BIP34: the height as a script number. */
function heightPush(height: number): Buffer {
  const bytes: number[] = [];
  for (let rest = height; rest > 0; rest = Math.floor(rest / 256)) bytes.push(rest & 0xff);
  if (((bytes.at(-1) ?? 0) & 0x80) !== 0) bytes.push(0);
  return Buffer.from([bytes.length, ...bytes]);
}
