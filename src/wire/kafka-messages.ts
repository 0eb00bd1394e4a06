// Messages to and from the node's other services, in protobuf. Reading checks sizes and hashes; nothing throws.
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { BlockHash, Hash, SubtreeHash } from '../domain/ids.ts';
import {
  KafkaBlockTopicMessageSchema,
  KafkaInvalidBlockTopicMessageSchema,
  KafkaInvalidSubtreeTopicMessageSchema,
  KafkaRejectedTxTopicMessageSchema,
  KafkaSubtreeTopicMessageSchema,
} from '../gen/kafkamessage_pb.js';
import { type Decoded, failed } from './fault.ts';
import { parseHash } from './hash.ts';

/** A block or subtree to fetch. */
export interface KafkaAnnouncement {
  readonly hash: Hash;
  readonly url: string;
  /** Empty where the sender is of an older revision. */
  readonly peerId: string;
}

export interface KafkaRejectedTx {
  readonly txId: Hash;
  readonly reason: string;
  /** Not empty: told by a peer, not ours to announce. */
  readonly peerId: string;
}

export interface KafkaInvalidBlock {
  readonly hash: BlockHash;
  readonly reason: string;
}

export interface KafkaInvalidSubtree {
  readonly hash: SubtreeHash;
  readonly peerUrl: string;
  readonly reason: string;
}

const MAX_BYTES = 64 * 1024;

export function encodeKafkaBlock({ hash, url, peerId }: KafkaAnnouncement): Uint8Array {
  return announcement(KafkaBlockTopicMessageSchema, hash, url, peerId);
}

export function decodeKafkaBlock(bytes: Uint8Array): Decoded<KafkaAnnouncement> {
  return read(KafkaBlockTopicMessageSchema, bytes, (message) =>
    withHash(message.hash, (hash) => ({ hash, url: message.URL, peerId: message.peerId })),
  );
}

export function encodeKafkaSubtree({ hash, url, peerId }: KafkaAnnouncement): Uint8Array {
  return announcement(KafkaSubtreeTopicMessageSchema, hash, url, peerId);
}

export function decodeKafkaSubtree(bytes: Uint8Array): Decoded<KafkaAnnouncement> {
  return read(KafkaSubtreeTopicMessageSchema, bytes, (message) =>
    withHash(message.hash, (hash) => ({ hash, url: message.URL, peerId: message.peerId })),
  );
}

export function encodeKafkaRejectedTx({ txId, reason, peerId }: KafkaRejectedTx): Uint8Array {
  return toBinary(
    KafkaRejectedTxTopicMessageSchema,
    create(KafkaRejectedTxTopicMessageSchema, { txHash: txId, reason, peerId }),
  );
}

export function decodeKafkaRejectedTx(bytes: Uint8Array): Decoded<KafkaRejectedTx> {
  return read(KafkaRejectedTxTopicMessageSchema, bytes, (message) =>
    withHash(message.txHash, (txId) => ({ txId, reason: message.reason, peerId: message.peerId })),
  );
}

export function encodeKafkaInvalidBlock({ hash, reason }: KafkaInvalidBlock): Uint8Array {
  return toBinary(
    KafkaInvalidBlockTopicMessageSchema,
    create(KafkaInvalidBlockTopicMessageSchema, { blockHash: hash, reason }),
  );
}

export function decodeKafkaInvalidBlock(bytes: Uint8Array): Decoded<KafkaInvalidBlock> {
  return read(KafkaInvalidBlockTopicMessageSchema, bytes, (message) =>
    withHash(message.blockHash, (hash) => ({ hash, reason: message.reason })),
  );
}

export function encodeKafkaInvalidSubtree({ hash, peerUrl, reason }: KafkaInvalidSubtree): Uint8Array {
  const fields = { subtreeHash: hash, peerUrl, reason };
  return toBinary(KafkaInvalidSubtreeTopicMessageSchema, create(KafkaInvalidSubtreeTopicMessageSchema, fields));
}

export function decodeKafkaInvalidSubtree(bytes: Uint8Array): Decoded<KafkaInvalidSubtree> {
  return read(KafkaInvalidSubtreeTopicMessageSchema, bytes, (message) =>
    withHash(message.subtreeHash, (hash) => ({ hash, peerUrl: message.peerUrl, reason: message.reason })),
  );
}

/** Kept for all announcements: a writer of its own would make and grow a buffer for each. Small, because URLs are. */
const writer = new BinaryWriter();

/** What `toBinary` writes, at a third of its cost: these two come by the thousand a second. */
function announcement(
  { field }: typeof KafkaBlockTopicMessageSchema | typeof KafkaSubtreeTopicMessageSchema,
  hash: string,
  url: string,
  peerId: string,
): Uint8Array {
  if (hash !== '') writer.tag(field.hash.number, WireType.LengthDelimited).string(hash);
  if (url !== '') writer.tag(field.URL.number, WireType.LengthDelimited).string(url);
  if (peerId !== '') writer.tag(field.peerId.number, WireType.LengthDelimited).string(peerId);
  return writer.finish();
}

function read<D extends DescMessage, T>(
  schema: D,
  bytes: Uint8Array,
  shape: (message: MessageShape<D>) => Decoded<T>,
): Decoded<T> {
  if (bytes.byteLength > MAX_BYTES) return failed('too_large', `${bytes.byteLength} bytes, at most ${MAX_BYTES}`);
  let message: MessageShape<D>;
  try {
    message = fromBinary(schema, bytes);
  } catch {
    return failed('not_protobuf', schema.name);
  }
  return shape(message);
}

function withHash<T>(text: string, build: (hash: Hash) => T): Decoded<T> {
  const hash = parseHash(text);
  return hash === undefined ? failed('hash_form', text) : { ok: true, message: build(hash) };
}
