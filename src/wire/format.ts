// A wire format: how the messages of each topic are written as gossip bytes and read from them. Networks that speak
// another format bring their own; everything inside handles the decoded messages only.
import type { NodeStatusMessage } from '../domain/node-status.ts';
import { type BestBlockMessage, decodeBestBlock, encodeBestBlock } from './best-block.ts';
import { type BlockMessage, decodeBlock, encodeBlock } from './block.ts';
import type { Decoded } from './fault.ts';
import { decodeHandshake, encodeHandshake, type HandshakeMessage } from './handshake.ts';
import { decodeMiningOn, encodeMiningOn, type MiningOnMessage } from './mining-on.ts';
import { decodeNodeStatus, encodeNodeStatus } from './node-status.ts';
import { decodeRejectedTx, encodeRejectedTx, type RejectedTxMessage } from './rejected-tx.ts';
import { decodeSubtree, encodeSubtree, type SubtreeMessage } from './subtree.ts';

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

export interface WireFormat {
  readonly name: 'go-p2p';
  readonly encode: { readonly [K in TopicKind]: (message: TopicMessages[K]) => Uint8Array };
  readonly decode: { readonly [K in TopicKind]: (bytes: Uint8Array) => Decoded<TopicMessages[K]> };
}

/** The bytes of a message in this format. */
export function encodeFor(wire: WireFormat, { kind, message }: TopicMessage): Uint8Array {
  // TypeScript does not see that kind and message belong together once the union has been indexed.
  return (wire.encode[kind] as (message: TopicMessages[TopicKind]) => Uint8Array)(message);
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
    block: decodeBlock,
    subtree: decodeSubtree,
    mining_on: decodeMiningOn,
    handshake: decodeHandshake,
    rejected_tx: decodeRejectedTx,
    node_status: decodeNodeStatus,
    best_block: decodeBestBlock,
  },
};
