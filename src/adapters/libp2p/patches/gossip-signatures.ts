// Verifies the signatures of gossip with our own verifier. gossipsub makes a key object for every message and calls its class; the only way
// to another verifier that leaves that class alone is to take over the step between decoding and validation.
// Written for @libp2p/gossipsub 17.1.1. Can go when gossipsub takes a verifier as an option, or libp2p verifies as fast.
import { type GossipSub, type SignedMessage, type TopicValidatorFn, TopicValidatorResult } from '@libp2p/gossipsub';
import { RPC } from '@libp2p/gossipsub/message';
import type { PeerId, PublicKey } from '@libp2p/interface';
import { peerIdFromMultihash } from '@libp2p/peer-id';
import { LRUCache } from 'lru-cache';
import * as Digest from 'multiformats/hashes/digest';
import { fastestVerifier, type Verify } from './ed25519.ts';
import { missingFunctions, type Patch, type PatchReport } from './report.ts';

export const SIGNATURE_PATCH: Patch = {
  library: '@libp2p/gossipsub',
  version: '17.1.1',
  effect: 'gossip signatures are verified by libp2p, at about twice the CPU per message',
};

/** What the step uses; private in the class's type. Read at each message, as some of it is replaced after this patch. */
interface ValidationParts {
  validateReceivedMessage(receivedFrom: PeerId, message: RPC.Message): Promise<ValidationResult>;
  readonly topicValidators: ReadonlyMap<string, TopicValidatorFn>;
  readonly fastMsgIdFn: (message: RPC.Message) => string;
  readonly fastMsgIdCache: { get(id: string): string | undefined; put(id: string, messageId: string): unknown };
  readonly seenCache: { has(id: string): boolean; put(id: string): unknown };
  readonly msgIdFn: (message: SignedMessage) => Uint8Array | Promise<Uint8Array>;
  readonly msgIdToStrFn: (id: Uint8Array) => string;
  readonly opts: { readonly idontwantMinDataSize: number };
  readonly dataTransform?: unknown;
  readonly globalSignaturePolicy: string;
  sendIDontWants(id: Uint8Array, topic: string, receivedFrom: string): void;
}

/** As gossipsub's own step returns it. */
type ValidationResult =
  | { readonly code: 'duplicate'; readonly msgIdStr: string }
  | { readonly code: 'invalid'; readonly reason: string; readonly error?: string; readonly msgIdStr?: string }
  | {
      readonly code: 'valid';
      readonly messageId: { readonly msgId: Uint8Array; readonly msgIdStr: string };
      readonly msg: SignedMessage;
    };

interface Author {
  readonly peerId: PeerId;
  readonly key: PublicKey;
}

const MAX_AUTHORS = 4096;
const SIGN_PREFIX = Buffer.from('libp2p-pubsub:');
const SEQNO_BYTES = 8;
/** An Ed25519 peer ID: identity multihash of 36 bytes, which are the key in protobuf form: type, length, and 32 raw bytes at the end. */
const ID_PREFIX = Buffer.from([0x00, 36, 8, 1, 18, 32]);
const ID_BYTES = 38;
const KEY_OFFSET_IN_ID = 2;

/** Call before anything else wraps the step. Returns the name of what verifies from now on. */
export function verifyFast(pubsub: GossipSub, report: PatchReport): string {
  const parts = pubsub as unknown as ValidationParts;
  const missing = missingParts(parts);
  if (missing !== undefined) {
    report.notApplied(SIGNATURE_PATCH, missing);
    return 'libp2p';
  }
  const { name, verify } = fastestVerifier();
  const { validateReceivedMessage } = parts;
  const authors = new LRUCache<string, Author>({ max: MAX_AUTHORS });
  // Other kinds of keys and unusual encodings are rare and stay with the library.
  parts.validateReceivedMessage = async (receivedFrom, message) =>
    isPlainEd25519(message)
      ? validate(parts, verify, authors, receivedFrom, message)
      : validateReceivedMessage.call(pubsub, receivedFrom, message);
  return name;
}

function missingParts(parts: Partial<ValidationParts>): string | undefined {
  const { validateReceivedMessage, sendIDontWants, fastMsgIdFn, msgIdFn, msgIdToStrFn } = parts;
  const missing = missingFunctions({
    validateReceivedMessage,
    sendIDontWants,
    fastMsgIdFn,
    msgIdFn,
    msgIdToStrFn,
    'topicValidators.get': parts.topicValidators?.get,
    'fastMsgIdCache.get': parts.fastMsgIdCache?.get,
    'fastMsgIdCache.put': parts.fastMsgIdCache?.put,
    'seenCache.has': parts.seenCache?.has,
    'seenCache.put': parts.seenCache?.put,
  });
  if (missing !== undefined) return missing;
  if (typeof parts.opts?.idontwantMinDataSize !== 'number') return 'opts.idontwantMinDataSize';
  if (parts.globalSignaturePolicy !== 'StrictSign') return 'globalSignaturePolicy';
  return parts.dataTransform === undefined ? undefined : 'dataTransform: not supported';
}

type SignedRpc = RPC.Message & { readonly from: Uint8Array };

/** True when the author's key stands in its ID, in the one encoding that all libraries write, and the key field is absent or equal. */
function isPlainEd25519(message: RPC.Message): message is SignedRpc {
  const { from, key } = message;
  if (from?.length !== ID_BYTES || !ID_PREFIX.every((byte, i) => from[i] === byte)) return false;
  if (key === undefined) return true;
  return key.length === ID_BYTES - KEY_OFFSET_IN_ID && key.every((byte, i) => from[i + KEY_OFFSET_IN_ID] === byte);
}

async function validate(
  parts: ValidationParts,
  verify: Verify,
  authors: LRUCache<string, Author>,
  receivedFrom: PeerId,
  rpc: SignedRpc,
): Promise<ValidationResult> {
  const fastId = parts.fastMsgIdFn(rpc);
  const knownAs = parts.fastMsgIdCache.get(fastId);
  if (knownAs !== undefined) return { code: 'duplicate', msgIdStr: knownAs };
  const { from, seqno, signature, topic, data = new Uint8Array(0) } = rpc;
  if (seqno?.length !== SEQNO_BYTES) return { code: 'invalid', reason: 'error', error: 'invalid_seqno' };
  if (signature === undefined || !verify(from.subarray(ID_PREFIX.length), signature, signedBytes(rpc)))
    return { code: 'invalid', reason: 'error', error: 'invalid_signature' };
  const { peerId, key } = authorOf(from, authors);
  const sequenceNumber = new DataView(seqno.buffer, seqno.byteOffset).getBigUint64(0);
  const msg: SignedMessage = { type: 'signed', from: peerId, data, sequenceNumber, topic, signature, key };
  const made = parts.msgIdFn(msg);
  const msgId = made instanceof Uint8Array ? made : await made;
  const msgIdStr = parts.msgIdToStrFn(msgId);
  parts.fastMsgIdCache.put(fastId, msgIdStr);
  if (parts.seenCache.has(msgIdStr)) return { code: 'duplicate', msgIdStr };
  parts.seenCache.put(msgIdStr);
  if (data.length >= parts.opts.idontwantMinDataSize) parts.sendIDontWants(msgId, topic, receivedFrom.toString());
  const result = await outcome(parts.topicValidators.get(topic), receivedFrom, msg);
  if (result === TopicValidatorResult.Accept) return { code: 'valid', messageId: { msgId, msgIdStr }, msg };
  return { code: 'invalid', reason: result === TopicValidatorResult.Reject ? 'reject' : 'ignore', msgIdStr };
}

/** What the author signed: the message without signature and key, after a fixed prefix. */
function signedBytes({ from, data, seqno, topic }: RPC.Message): Buffer {
  return Buffer.concat([SIGN_PREFIX, RPC.Message.encode({ from, data, seqno, topic } as RPC.Message)]);
}

function authorOf(from: Uint8Array, authors: LRUCache<string, Author>): Author {
  const id = Buffer.from(from.buffer, from.byteOffset, from.byteLength).toString('latin1');
  let author = authors.get(id);
  if (author === undefined) {
    const peerId = peerIdFromMultihash(Digest.decode(from.slice()));
    if (peerId.publicKey === undefined) throw new TypeError('an Ed25519 peer ID without its key');
    author = { peerId, key: peerId.publicKey };
    authors.set(id, author);
  }
  return author;
}

async function outcome(
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
