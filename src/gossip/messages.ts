// Gossip messages as validators and handlers see them, by topic.
import type { NodeStatusMessage } from '../domain/node-status.ts';
import type { Decoded } from '../wire/fault.ts';
import type { TopicKind, TopicMessages, WireFormat } from '../wire/format.ts';
import { shownName } from '../wire/shown-name.ts';
import { type ReceivedBlock, receivedBlock } from './received-block.ts';

export interface ReceivedMessages extends Omit<TopicMessages, 'block'> {
  readonly block: ReceivedBlock;
}

/** Decoders of one network's wire format. On message-bus, texts that are only shown are cut to what is safe to show. */
export type Decoders = { readonly [K in TopicKind]: (bytes: Uint8Array) => Decoded<ReceivedMessages[K]> };

export function decodersOf({ name, decode }: Pick<WireFormat, 'name' | 'decode'>): Decoders {
  const plain = { ...decode, block: (bytes: Uint8Array) => receivedBlock(decode.block(bytes)) };
  if (name !== 'message-bus') return plain;
  return {
    ...plain,
    block: (bytes) => changed(plain.block(bytes), withShownName),
    subtree: (bytes) => changed(plain.subtree(bytes), withShownName),
    node_status: (bytes) => changed(plain.node_status(bytes), withShownTexts),
  };
}

function changed<T>(decoded: Decoded<T>, change: (message: T) => T): Decoded<T> {
  return decoded.ok ? { ...decoded, message: change(decoded.message) } : decoded;
}

function withShownName<M extends { readonly clientName?: string }>(message: M): M {
  return message.clientName === undefined ? message : { ...message, clientName: shownName(message.clientName) };
}

function withShownTexts(message: NodeStatusMessage): NodeStatusMessage {
  return {
    ...message,
    version: shownName(message.version),
    commitHash: shownName(message.commitHash),
    fsmState: shownName(message.fsmState),
    clientName: shownName(message.clientName),
    minerName: shownName(message.minerName),
    syncPeerId: shownName(message.syncPeerId),
  };
}
