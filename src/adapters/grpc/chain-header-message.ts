// Converts headers of our own chain to their protobuf message and back.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { BlockHash, Hash } from '../../domain/ids.ts';
import type { ChainHeader as ChainHeaderMessage, ChainHeaderSchema } from '../../gen/teranode_p2p_pb.js';
import type { BlockHeaderRecord } from '../../ports/blockchain-client.ts';
import { parseHash } from '../../wire/hash.ts';
import { parseHeader } from '../../wire/header.ts';

/** A block of the node's own chain. */
export interface ChainHeader {
  readonly hash: Hash | undefined;
  readonly height: number;
  /** undefined, as the next, when the node sent no 80 bytes. */
  readonly previousHash: BlockHash | undefined;
  /** Unix ms, as the header says. */
  readonly timeMs: number | undefined;
  readonly txCount: number;
  readonly sizeInBytes: number;
  readonly miner: string;
  /** Hex; undefined when unknown. */
  readonly chainWork: string | undefined;
  readonly isInvalid: boolean;
  /** Hex of the 80 bytes. */
  readonly header: string;
}

export function headerMessage(record: BlockHeaderRecord): MessageInitShape<typeof ChainHeaderSchema> {
  const { hash, height, header, txCount, sizeInBytes, miner, chainWork, invalid } = record;
  return { hash, height, header, txCount, sizeInBytes, miner, chainWork: chainWork?.toString(16) ?? '', invalid };
}

export function chainHeader(message: ChainHeaderMessage): ChainHeader {
  const { height, header, miner } = message;
  const parsed = parseHeader(header);
  return {
    hash: parseHash(message.hash),
    height,
    previousHash: parsed?.previousHash,
    timeMs: parsed === undefined ? undefined : parsed.time * 1000,
    txCount: Number(message.txCount),
    sizeInBytes: Number(message.sizeInBytes),
    miner,
    chainWork: message.chainWork || undefined,
    isInvalid: message.invalid,
    header: Buffer.from(header).toString('hex'),
  };
}
