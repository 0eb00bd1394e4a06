// The JSON form of headers, as Teranode's asset service writes it.
import type { BlockHeaderRecord } from '../../../ports/blockchain-client.ts';
import { parseHeader } from '../../../wire/header.ts';

export function headerJson({ hash, header, height, txCount, sizeInBytes, miner }: BlockHeaderRecord): object {
  const { version, previousHash, merkleRoot, time, bits, nonce } = parseHeader(header) ?? {};
  return {
    hash,
    version,
    previousblockhash: previousHash,
    merkleroot: merkleRoot,
    time,
    bits: bits?.toString(16).padStart(8, '0'),
    nonce,
    height,
    txCount: Number(txCount),
    sizeInBytes: Number(sizeInBytes),
    miner,
  };
}
