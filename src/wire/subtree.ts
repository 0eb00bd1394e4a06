// Subtree announcement (spec "SubtreeMessage").

import type { SubtreeHash } from '../domain/ids.ts';
import type { Decoded } from './fault.ts';
import { FieldReader, goBytes, MAX_URL_CHARS } from './json.ts';
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

export function decodeSubtree(
  bytes: Uint8Array,
  maxBytes: number = MAX_MESSAGE_BYTES.subtree,
): Decoded<SubtreeMessage> {
  const read = FieldReader.ofGossip(bytes, { maxBytes });
  if (!read.ok) return read;
  const fields = read.message;
  return fields.finish({
    hash: fields.hash('Hash'),
    dataHubUrl: fields.text('DataHubURL', MAX_URL_CHARS),
    peerId: fields.text('PeerID'),
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
    ['ClientName', message.clientName ?? ''],
    ['DataHubURL', message.dataHubUrl],
    ['Hash', message.hash],
  ]);
}
