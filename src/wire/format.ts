// A wire format: how the messages of each topic are written as gossip bytes and read from them. Networks that speak
// another format bring their own; everything inside handles the decoded messages only.
import type { NodeStatusMessage } from '../domain/node-status.ts';
import { P2PError } from '../lib/errors.ts';
import { type BestBlockMessage, decodeBestBlock, encodeBestBlock } from './best-block.ts';
import { type BlockMessage, decodeBlock, encodeBlock, encodeBusBlock } from './block.ts';
import { CUT_MARK, cutText, MAX_NAME_BYTES } from './cut-text.ts';
import { writeEnvelope } from './envelope.ts';
import type { Decoded } from './fault.ts';
import { decodeHandshake, encodeHandshake, type HandshakeMessage } from './handshake.ts';
import type { Reading } from './json.ts';
import { MAX_ENVELOPED_BYTES, MAX_MESSAGE_BYTES, maxEnvelopeBytes } from './message-sizes.ts';
import { decodeMiningOn, encodeMiningOn, type MiningOnMessage } from './mining-on.ts';
import { decodeNodeStatus, encodeBusNodeStatus, encodeNodeStatus } from './node-status.ts';
import { decodeRejectedTx, encodeBusRejectedTx, encodeRejectedTx, type RejectedTxMessage } from './rejected-tx.ts';
import { decodeSubtree, encodeBusSubtree, encodeSubtree, type SubtreeMessage } from './subtree.ts';

/** Message type of each topic. */
export interface TopicMessages {
  readonly block: BlockMessage;
  readonly subtree: SubtreeMessage;
  readonly mining_on: MiningOnMessage;
  readonly handshake: HandshakeMessage;
  readonly rejected_tx: RejectedTxMessage;
  readonly node_status: NodeStatusMessage;
  readonly best_block: BestBlockMessage;
}

export type TopicKind = keyof TopicMessages;

/** A message with the topic that it belongs to. */
export type TopicMessage = {
  [K in TopicKind]: { readonly kind: K; readonly message: TopicMessages[K] };
}[TopicKind];

/** `go-p2p` is the wire of the specification, `message-bus` that of Teranode since October 2025. */
export type WireName = 'go-p2p' | 'message-bus';

type Encoders = { readonly [K in TopicKind]?: (message: TopicMessages[K], clientName: string) => Uint8Array };
type FormatDecoders = { readonly [K in TopicKind]: (bytes: Uint8Array) => Decoded<TopicMessages[K]> };

/** Decoders read messages of every wire, because mixed networks exist; encoders write one. */
export interface WireFormat {
  readonly name: WireName;
  /** Gossip bytes of this node's own messages. Kinds without a row do not exist on this wire. */
  readonly encode: Encoders;
  readonly decode: FormatDecoders;
  /** Largest gossip data of a topic in bytes. */
  readonly maxGossipBytes: { readonly [K in TopicKind]: number };
}

/** The bytes of a message in this format. Throws TypeError for a kind that does not exist there. */
export function encodeFor(
  wire: Pick<WireFormat, 'name' | 'encode'>,
  { kind, message }: TopicMessage,
  clientName = '',
): Uint8Array {
  // TypeScript does not see that kind and message belong together once the union has been indexed.
  const encode = wire.encode[kind] as
    | ((message: TopicMessages[TopicKind], clientName: string) => Uint8Array)
    | undefined;
  if (encode === undefined) throw new TypeError(`${wire.name} has no ${kind} message`);
  return encode(message, clientName);
}

function maxGossipBytes(caps: { readonly [K in TopicKind]: number }): { readonly [K in TopicKind]: number } {
  return {
    ...caps,
    block: maxEnvelopeBytes(caps.block),
    subtree: maxEnvelopeBytes(caps.subtree),
    rejected_tx: maxEnvelopeBytes(caps.rejected_tx),
    node_status: maxEnvelopeBytes(caps.node_status),
  };
}

/** The JSON messages of the specification (Teranode up to September 2025). */
export const GO_P2P: WireFormat = {
  name: 'go-p2p',
  encode: {
    block: encodeBlock,
    subtree: encodeSubtree,
    mining_on: encodeMiningOn,
    handshake: encodeHandshake,
    rejected_tx: encodeRejectedTx,
    node_status: encodeNodeStatus,
    best_block: encodeBestBlock,
  },
  decode: {
    block: (bytes) => decodeBlock(bytes),
    subtree: (bytes) => decodeSubtree(bytes),
    mining_on: decodeMiningOn,
    handshake: decodeHandshake,
    rejected_tx: (bytes) => decodeRejectedTx(bytes),
    node_status: (bytes) => decodeNodeStatus(bytes),
    best_block: decodeBestBlock,
  },
  maxGossipBytes: maxGossipBytes(MAX_MESSAGE_BYTES),
};

type BusKind = 'block' | 'subtree' | 'rejected_tx' | 'node_status';

/** Throws MESSAGE_TOO_LARGE for a message that no receiver would accept. */
function enveloped(kind: BusKind, clientName: string, message: Uint8Array): Uint8Array {
  const [bytes, bound] = [message.byteLength, MAX_ENVELOPED_BYTES[kind]];
  if (bytes > bound)
    throw new P2PError('MESSAGE_TOO_LARGE', `a ${kind} message of ${bytes} bytes (at most ${bound} on message-bus)`);
  return writeEnvelope(cutText(clientName, MAX_NAME_BYTES, CUT_MARK), message);
}

function lenient(kind: BusKind): Reading {
  return { maxBytes: MAX_ENVELOPED_BYTES[kind], isLenient: true };
}

const BUS_READING = {
  block: lenient('block'),
  subtree: lenient('subtree'),
  rejected_tx: lenient('rejected_tx'),
  node_status: lenient('node_status'),
};

/** The enveloped messages of Teranode since October 2025. */
export const MESSAGE_BUS: WireFormat = {
  name: 'message-bus',
  encode: {
    block: (message, clientName) => enveloped('block', clientName, encodeBusBlock(message)),
    subtree: (message, clientName) => enveloped('subtree', clientName, encodeBusSubtree(message)),
    rejected_tx: (message, clientName) => enveloped('rejected_tx', clientName, encodeBusRejectedTx(message)),
    node_status: (message, clientName) => enveloped('node_status', clientName, encodeBusNodeStatus(message)),
  },
  decode: {
    ...GO_P2P.decode,
    block: (bytes) => decodeBlock(bytes, BUS_READING.block),
    subtree: (bytes) => decodeSubtree(bytes, BUS_READING.subtree),
    rejected_tx: (bytes) => decodeRejectedTx(bytes, BUS_READING.rejected_tx),
    node_status: (bytes) => decodeNodeStatus(bytes, BUS_READING.node_status),
  },
  maxGossipBytes: maxGossipBytes(MAX_ENVELOPED_BYTES),
};

export const WIRE_FORMATS: { readonly [N in WireName]: WireFormat } = { 'go-p2p': GO_P2P, 'message-bus': MESSAGE_BUS };
