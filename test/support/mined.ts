// Headers mined for tests, with regtest's rules.
import { createHash } from 'node:crypto';
import type { Hash } from '../../src/domain/ids.ts';
import { checkProofOfWork, encodeHeader, hashHeader, parseHeader } from '../../src/wire/header.ts';
import { type CheckedHeader, genesisHeader } from '../../src/wire/header-rules.ts';
import { NETWORKS } from '../../src/wire/networks.ts';

export const GENESIS: CheckedHeader = genesisHeader(NETWORKS.regtest);
/** Bits of regtest's easiest target, and of one that takes sixteen times the work. */
export const EASY_BITS = 0x207fffff;
export const HARD_BITS = 0x2007ffff;

/** A child of a header; `salt` makes siblings differ. */
export function mineChild(parent: Uint8Array, salt: string, bits = EASY_BITS, seconds = 600): Uint8Array {
  const merkleRoot = createHash('sha256').update(salt).digest('hex') as Hash;
  const time = (parseHeader(parent)?.time ?? 0) + seconds;
  for (let nonce = 0; ; nonce += 1) {
    const header = encodeHeader({ version: 1, previousHash: hashHeader(parent), merkleRoot, time, bits, nonce });
    if (checkProofOfWork(header, EASY_BITS) === 'ok') return header;
  }
}

/** `count` headers on top of each other, oldest first. */
export function mineChain(parent: Uint8Array, count: number, salt: string, bits = EASY_BITS): Uint8Array[] {
  const chain: Uint8Array[] = [];
  for (let i = 0; i < count; i += 1) chain.push(mineChild(chain.at(-1) ?? parent, `${salt}${i}`, bits));
  return chain;
}
