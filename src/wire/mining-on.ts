// Mining-on: the block that its author mines on, which is its best header (spec "MiningOnMessage").

import type { BlockHash } from '../domain/ids.ts';
import type { Decoded } from './fault.ts';
import { FieldReader, goBytes, MAX_URL_CHARS } from './json.ts';
import { MAX_MESSAGE_BYTES } from './message-sizes.ts';

export interface MiningOnMessage {
  /** The tip. */
  readonly hash: BlockHash;
  /** The parent of the tip; undefined in messages that leave it empty. */
  readonly previousHash: BlockHash | undefined;
  readonly dataHubUrl: string;
  readonly peerId: string;
  /** uint32. */
  readonly height: number;
  readonly miner: string;
  /** uint64. */
  readonly sizeInBytes: bigint;
  /** uint64. */
  readonly txCount: bigint;
}

export function decodeMiningOn(bytes: Uint8Array): Decoded<MiningOnMessage> {
  const read = FieldReader.of(bytes, { maxBytes: MAX_MESSAGE_BYTES.mining_on });
  if (!read.ok) return read;
  const fields = read.message;
  return fields.finish({
    hash: fields.hash('Hash'),
    previousHash: fields.optionalHash('PreviousHash'),
    dataHubUrl: fields.text('DataHubURL', MAX_URL_CHARS),
    peerId: fields.text('PeerID'),
    height: fields.uint32('Height'),
    miner: fields.text('Miner'),
    sizeInBytes: fields.uint64('SizeInBytes'),
    txCount: fields.uint64('TxCount'),
  });
}

export function encodeMiningOn(message: MiningOnMessage): Uint8Array {
  return goBytes([
    ['Hash', message.hash],
    ['PreviousHash', message.previousHash ?? ''],
    ['DataHubURL', message.dataHubUrl],
    ['PeerID', message.peerId],
    ['Height', message.height],
    ['Miner', message.miner],
    ['SizeInBytes', message.sizeInBytes],
    ['TxCount', message.txCount],
  ]);
}
