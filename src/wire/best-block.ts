// Best block: a request for it, or the announcement that answers (spec "BestBlockMessage").

import type { BlockHash } from '../domain/ids.ts';
import { type Decoded, failed } from './fault.ts';
import { FieldReader, goBytes } from './json.ts';

export type BestBlockMessage =
  | { readonly kind: 'request'; readonly peerId: string }
  | { readonly kind: 'announcement'; readonly height: number; readonly hash: BlockHash };

const MAX_BYTES = 4 * 1024;

/** An object with a hash is an announcement, one with a peer id a request. */
export function decodeBestBlock(bytes: Uint8Array): Decoded<BestBlockMessage> {
  const read = FieldReader.of(bytes, { maxBytes: MAX_BYTES });
  if (!read.ok) return read;
  const fields = read.message;
  if (fields.raw('Hash') !== undefined) {
    return fields.finish({ kind: 'announcement', height: fields.uint32('Height'), hash: fields.hash('Hash') });
  }
  const peerId = fields.text('PeerID');
  return peerId === '' ? failed('missing_field', 'Hash or PeerID') : fields.finish({ kind: 'request', peerId });
}

export function encodeBestBlock(message: BestBlockMessage): Uint8Array {
  if (message.kind === 'request') return goBytes([['PeerID', message.peerId]]);
  return goBytes([
    ['Height', message.height],
    ['Hash', message.hash],
  ]);
}
