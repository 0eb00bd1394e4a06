// Rejected transaction: one that the author's validator refused.

import type { Hash } from '../domain/ids.ts';
import type { Decoded } from './fault.ts';
import { FieldReader, goBytes } from './json.ts';

export interface RejectedTxMessage {
  readonly txId: Hash;
  /** At most 4096 characters. */
  readonly reason: string;
  readonly peerId: string;
}

const MAX_BYTES = 32 * 1024;
const MAX_REASON_CHARS = 4096;

export function decodeRejectedTx(bytes: Uint8Array): Decoded<RejectedTxMessage> {
  const read = FieldReader.of(bytes, { maxBytes: MAX_BYTES });
  if (!read.ok) return read;
  const fields = read.message;
  return fields.finish({
    txId: fields.hash('TxID'),
    reason: fields.text('Reason', MAX_REASON_CHARS),
    peerId: fields.text('PeerID'),
  });
}

export function encodeRejectedTx(message: RejectedTxMessage): Uint8Array {
  return goBytes([
    ['TxID', message.txId],
    ['Reason', message.reason],
    ['PeerID', message.peerId],
  ]);
}
