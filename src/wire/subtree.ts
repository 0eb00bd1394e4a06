// Subtree announcement (spec "SubtreeMessage").

import type { SubtreeHash } from '../domain/ids.ts';
import type { Decoded } from './fault.ts';
import { FieldReader, goBytes, MAX_URL_CHARS } from './json.ts';

export interface SubtreeMessage {
  readonly hash: SubtreeHash;
  /** Where the author serves the subtree; not checked here. */
  readonly dataHubUrl: string;
  /** As claimed; the signature tells whether it is true. */
  readonly peerId: string;
}

const MAX_BYTES = 16 * 1024;

export function decodeSubtree(bytes: Uint8Array): Decoded<SubtreeMessage> {
  const read = FieldReader.of(bytes, { maxBytes: MAX_BYTES });
  if (!read.ok) return read;
  const fields = read.message;
  return fields.finish({
    hash: fields.hash('Hash'),
    dataHubUrl: fields.text('DataHubURL', MAX_URL_CHARS),
    peerId: fields.text('PeerID'),
  });
}

export function encodeSubtree(message: SubtreeMessage): Uint8Array {
  return goBytes([
    ['Hash', message.hash],
    ['DataHubURL', message.dataHubUrl],
    ['PeerID', message.peerId],
  ]);
}
