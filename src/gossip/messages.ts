// The gossip messages that the pipeline reads, by topic.
import type { NodeStatusMessage } from '../domain/node-status.ts';
import { type BestBlockMessage, decodeBestBlock } from '../wire/best-block.ts';
import type { Decoded } from '../wire/fault.ts';
import { decodeHandshake, type HandshakeMessage } from '../wire/handshake.ts';
import { decodeMiningOn, type MiningOnMessage } from '../wire/mining-on.ts';
import { decodeNodeStatus } from '../wire/node-status.ts';
import { decodeRejectedTx, type RejectedTxMessage } from '../wire/rejected-tx.ts';
import { decodeSubtree, type SubtreeMessage } from '../wire/subtree.ts';
import { decodeReceivedBlock, type ReceivedBlock } from './received-block.ts';

/** Message type of each topic that is read. */
export interface TopicMessages {
  readonly block: ReceivedBlock;
  readonly subtree: SubtreeMessage;
  readonly mining_on: MiningOnMessage;
  readonly handshake: HandshakeMessage;
  readonly rejected_tx: RejectedTxMessage;
  readonly node_status: NodeStatusMessage;
  readonly best_block: BestBlockMessage;
}

/** Topics that are read. */
export type ReadTopic = keyof TopicMessages;

export const DECODERS: { readonly [K in ReadTopic]: (bytes: Uint8Array) => Decoded<TopicMessages[K]> } = {
  block: decodeReceivedBlock,
  subtree: decodeSubtree,
  mining_on: decodeMiningOn,
  handshake: decodeHandshake,
  rejected_tx: decodeRejectedTx,
  node_status: decodeNodeStatus,
  best_block: decodeBestBlock,
};
