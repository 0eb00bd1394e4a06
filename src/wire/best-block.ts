// Best block: a request, or the announcement that answers it (spec "BestBlockMessage").

import type { BlockHash } from '../domain/ids.ts';
import { type Decoded, failed } from './fault.ts';
import { FieldReader, goBytes } from './json.ts';
import { MAX_MESSAGE_BYTES } from './message-sizes.ts';

export type BestBlockMessage =
  | { readonly kind: 'request'; readonly peerId: string }
  | { readonly kind: 'announcement'; readonly height: number; readonly hash: BlockHash };

/** An object with a hash is an announcement, one with a peer ID a request. */
export function decodeBestBlock(bytes: Uint8Array): Decoded<BestBlockMessage> {
  const read = FieldReader.of(bytes, { maxBytes: MAX_MESSAGE_BYTES.best_block });
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
