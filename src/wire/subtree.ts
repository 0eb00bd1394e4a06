// Subtree announcement (spec "SubtreeMessage").

import type { SubtreeHash } from '../domain/ids.ts';
import { CUT_MARK, cutText, MAX_NAME_BYTES } from './cut-text.ts';
import type { Decoded } from './fault.ts';
import { FieldReader, goBytes, MAX_URL_CHARS, type Reading } from './json.ts';
import { MAX_MESSAGE_BYTES } from './message-sizes.ts';

export interface SubtreeMessage {
  readonly hash: SubtreeHash;
  /** Where the author serves the subtree; not checked here. */
  readonly dataHubUrl: string;
  /** As claimed by the author; compared with the signature elsewhere. */
  readonly peerId: string;
  /** Of message-bus; empty or absent elsewhere. */
  readonly clientName?: string;
}

const READING: Reading = { maxBytes: MAX_MESSAGE_BYTES.subtree };

export function decodeSubtree(bytes: Uint8Array, reading = READING): Decoded<SubtreeMessage> {
  const read = FieldReader.ofGossip(bytes, reading);
  if (!read.ok) return read;
  const fields = read.message;
  return fields.finish({
    hash: fields.hash('Hash'),
    dataHubUrl: fields.text('DataHubURL', MAX_URL_CHARS),
    peerId: fields.peerId('PeerID'),
    ...fields.clientName('ClientName'),
  });
}

export function encodeSubtree(message: SubtreeMessage): Uint8Array {
  return goBytes([
    ['Hash', message.hash],
    ['DataHubURL', message.dataHubUrl],
    ['PeerID', message.peerId],
  ]);
}

/** The message inside the envelope of message-bus. */
export function encodeBusSubtree(message: SubtreeMessage): Uint8Array {
  return goBytes([
    ['PeerID', message.peerId],
    ['ClientName', cutText(message.clientName ?? '', MAX_NAME_BYTES, CUT_MARK)],
    ['DataHubURL', message.dataHubUrl],
    ['Hash', message.hash],
  ]);
}
