// Validates messages of Ed25519 authors in the place of gossipsub, with a verifier that takes half the CPU: gossipsub
// makes a key object for every message. The steps and results are those of gossipsub. Can go when gossipsub takes a
// verifier as an option, or libp2p verifies as fast. docs/adr/0004.
import { type SignedMessage, type TopicValidatorFn, TopicValidatorResult } from '@libp2p/gossipsub';
import { RPC } from '@libp2p/gossipsub/message';
import type { PeerId, PublicKey } from '@libp2p/interface';
import { peerIdFromMultihash } from '@libp2p/peer-id';
import { LRUCache } from 'lru-cache';
import * as Digest from 'multiformats/hashes/digest';
import type { Verify } from '../patches/ed25519.ts';
import { goMessageId, IDONTWANT_MIN_BYTES, unverifiedMessageId } from './options.ts';
import type { GossipsubParts, ReceivedMessage, Stage, ValidationResult } from './parts.ts';
import type { SeenMessages } from './seen-messages.ts';

interface FastVerificationParts {
  readonly verify: Verify;
  readonly seen: SeenMessages;
  readonly topicValidators: ReadonlyMap<string, TopicValidatorFn>;
  /** Tells mesh peers that they need not send us a message. */
  readonly sendIDontWants: GossipsubParts['sendIDontWants'];
}

interface Author {
  readonly peerId: PeerId;
  readonly key: PublicKey;
}

const MAX_AUTHORS = 4096;
const SIGN_PREFIX = Buffer.from('libp2p-pubsub:');
const SEQNO_BYTES = 8;
const NO_DATA = new Uint8Array(0);
/**
 * An Ed25519 peer ID: identity multihash of 36 bytes, which are the key in protobuf form: type, length, and 32 raw
 * bytes at the end.
 */
const ID_PREFIX = Buffer.from([0x00, 36, 8, 1, 18, 32]);
const ID_BYTES = 38;
const KEY_OFFSET_IN_ID = 2;

/** A message whose author's key stands in its ID. */
type PlainMessage = ReceivedMessage & { readonly from: Uint8Array };

export class FastVerification implements Stage<'incoming'> {
  readonly feature = 'fastVerification';
  private readonly parts: FastVerificationParts;
  private readonly authors = new LRUCache<string, Author>({ max: MAX_AUTHORS });

  constructor(parts: FastVerificationParts) {
    this.parts = parts;
  }

  /** Other kinds of keys and unusual encodings are rare and stay with gossipsub. */
  validateReceivedMessage(next: GossipsubParts['validateReceivedMessage']): GossipsubParts['validateReceivedMessage'] {
    return (receivedFrom, message) =>
      isPlainEd25519(message) ? this.validate(receivedFrom, message) : next(receivedFrom, message);
  }

  private async validate(receivedFrom: PeerId, message: PlainMessage): Promise<ValidationResult> {
    const { seen, verify, topicValidators } = this.parts;
    // The ID before verification is also the final one: author and sequence number have their usual lengths.
    const msgIdStr = unverifiedMessageId(message);
    if (seen.has(msgIdStr)) return { code: 'duplicate', msgIdStr };
    const { from, seqno, signature, topic, data = NO_DATA } = message;
    if (seqno?.length !== SEQNO_BYTES) return { code: 'invalid', reason: 'error', error: 'invalid_seqno' };
    if (signature === undefined || !verify(from.subarray(ID_PREFIX.length), signature, signedBytes(message)))
      return { code: 'invalid', reason: 'error', error: 'invalid_signature' };
    seen.put(msgIdStr);
    const { peerId, key } = this.authorOf(from);
    const sequenceNumber = new DataView(seqno.buffer, seqno.byteOffset).getBigUint64(0);
    const msgId = goMessageId(from, sequenceNumber);
    if (data.length >= IDONTWANT_MIN_BYTES) this.parts.sendIDontWants(msgId, topic, receivedFrom.toString());
    const msg: SignedMessage = { type: 'signed', from: peerId, data, sequenceNumber, topic, signature, key };
    const result = await resultOf(topicValidators.get(topic), receivedFrom, msg);
    if (result === TopicValidatorResult.Accept) return { code: 'valid', messageId: { msgId, msgIdStr }, msg };
    return { code: 'invalid', reason: result === TopicValidatorResult.Reject ? 'reject' : 'ignore', msgIdStr };
  }

  private authorOf(from: Uint8Array): Author {
    const id = Buffer.from(from.buffer, from.byteOffset, from.byteLength).toString('latin1');
    let author = this.authors.get(id);
    if (author === undefined) {
      const peerId = peerIdFromMultihash(Digest.decode(from.slice()));
      if (peerId.publicKey === undefined) throw new TypeError('an Ed25519 peer ID without its key');
      author = { peerId, key: peerId.publicKey };
      this.authors.set(id, author);
    }
    return author;
  }
}

/**
 * True when the author's key stands in its ID, in the one encoding that all libraries write, and the key field is
 * absent or equal.
 */
function isPlainEd25519(message: ReceivedMessage): message is PlainMessage {
  const { from, key } = message;
  if (from?.length !== ID_BYTES || !ID_PREFIX.every((byte, i) => from[i] === byte)) return false;
  if (key === undefined) return true;
  return key.length === ID_BYTES - KEY_OFFSET_IN_ID && key.every((byte, i) => from[i + KEY_OFFSET_IN_ID] === byte);
}

/** What the author signed: the message without signature and key, after a fixed prefix. */
function signedBytes({ from, data, seqno, topic }: PlainMessage): Buffer {
  return Buffer.concat([SIGN_PREFIX, RPC.Message.encode({ from, data, seqno, topic } as RPC.Message)]);
}

async function resultOf(
  validator: TopicValidatorFn | undefined,
  receivedFrom: PeerId,
  message: SignedMessage,
): Promise<TopicValidatorResult> {
  if (validator === undefined) return TopicValidatorResult.Accept;
  try {
    return await validator(receivedFrom, message);
  } catch {
    return TopicValidatorResult.Ignore;
  }
}
