// Handshake: version and verack (spec "HandshakeMessage").

import type { BlockHash } from '../domain/ids.ts';
import type { Decoded } from './fault.ts';
import { FieldReader, goBytes, MAX_URL_CHARS } from './json.ts';
import { MAX_DIRECT_STREAM_BYTES } from './message-sizes.ts';

export interface HandshakeMessage {
  readonly type: 'version' | 'verack';
  readonly peerId: string;
  /** uint32. */
  readonly bestHeight: number;
  /** undefined when the sender does not know its tip yet. */
  readonly bestHash: BlockHash | undefined;
  readonly dataHubUrl: string;
  /** `teranode/bitcoin/<version>`. */
  readonly userAgent: string;
  /** Bitmap, uint64: 1 is a full node. */
  readonly services: bigint;
  readonly topicPrefix: string;
}

export function decodeHandshake(bytes: Uint8Array): Decoded<HandshakeMessage> {
  const read = FieldReader.of(bytes, { maxBytes: MAX_DIRECT_STREAM_BYTES });
  if (!read.ok) return read;
  const fields = read.message;
  const type = fields.text('type');
  if (type !== 'version' && type !== 'verack') fields.fail(type === '' ? 'missing_field' : 'unknown_type', 'type');
  return fields.finish({
    type: type === 'verack' ? 'verack' : 'version',
    peerId: fields.text('peerID'),
    bestHeight: fields.uint32('bestHeight'),
    bestHash: fields.optionalHash('bestHash'),
    dataHubUrl: fields.text('dataHubURL', MAX_URL_CHARS),
    userAgent: fields.text('userAgent'),
    services: fields.uint64('services'),
    topicPrefix: fields.text('topicPrefix'),
  });
}

export function encodeHandshake(message: HandshakeMessage): Uint8Array {
  return goBytes([
    ['type', message.type],
    ['peerID', message.peerId],
    ['bestHeight', message.bestHeight],
    ['bestHash', message.bestHash ?? ''],
    ['dataHubURL', message.dataHubUrl],
    ['userAgent', message.userAgent],
    ['services', message.services],
    ['topicPrefix', message.topicPrefix],
  ]);
}
