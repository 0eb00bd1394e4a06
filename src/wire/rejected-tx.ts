// Rejected transaction: a transaction that the author's validator refused.

import type { Hash } from '../domain/ids.ts';
import { CUT_MARK, cutText } from './cut-text.ts';
import type { Decoded } from './fault.ts';
import { FieldReader, goBytes, type Reading } from './json.ts';
import { MAX_MESSAGE_BYTES } from './message-sizes.ts';

export interface RejectedTxMessage {
  readonly txId: Hash;
  /** At most 4096 characters. */
  readonly reason: string;
  readonly peerId: string;
}

const MAX_REASON_CHARS = 4096;
/** Receivers of message-bus cut longer ones. Escaped, this stays below the size that they accept. */
const MAX_BUS_REASON_BYTES = 1024;

const READING: Reading = { maxBytes: MAX_MESSAGE_BYTES.rejected_tx };

export function decodeRejectedTx(bytes: Uint8Array, reading = READING): Decoded<RejectedTxMessage> {
  const read = FieldReader.ofGossip(bytes, reading);
  if (!read.ok) return read;
  const fields = read.message;
  return fields.finish({
    txId: fields.hash('TxID'),
    reason: reading.isLenient
      ? cutText(fields.whole('Reason'), MAX_BUS_REASON_BYTES)
      : fields.text('Reason', MAX_REASON_CHARS),
    peerId: fields.peerId('PeerID'),
  });
}

export function encodeRejectedTx(message: RejectedTxMessage): Uint8Array {
  return goBytes([
    ['TxID', message.txId],
    ['Reason', message.reason],
    ['PeerID', message.peerId],
  ]);
}

/** The message inside the envelope of message-bus. Teranode writes an empty client name, as this does. */
export function encodeBusRejectedTx(message: RejectedTxMessage): Uint8Array {
  return goBytes([
    ['PeerID', message.peerId],
    ['ClientName', ''],
    ['TxID', message.txId],
    ['Reason', cutText(message.reason, MAX_BUS_REASON_BYTES, CUT_MARK)],
  ]);
}
