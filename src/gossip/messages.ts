// Gossip messages as validators and handlers see them, by topic.
import type { NodeStatusMessage } from '../domain/node-status.ts';
import type { Decoded } from '../wire/fault.ts';
import type { TopicKind, TopicMessages, WireFormat } from '../wire/format.ts';
import { shownName } from '../wire/shown-name.ts';
import { type ReceivedBlock, receivedBlock } from './received-block.ts';

export interface ReceivedMessages extends Omit<TopicMessages, 'block'> {
  readonly block: ReceivedBlock;
}

/** Decoders of one network's wire format. Names and other texts of message-bus are cut to what is safe to show. */
export type Decoders = { readonly [K in TopicKind]: (bytes: Uint8Array) => Decoded<ReceivedMessages[K]> };

export function decodersOf({ name, decode }: Pick<WireFormat, 'name' | 'decode'>): Decoders {
  const isBus = name === 'message-bus';
  return {
    ...decode,
    block: (bytes) => changed(receivedBlock(decode.block(bytes)), withShownName),
    subtree: (bytes) => changed(decode.subtree(bytes), withShownName),
    node_status: (bytes) => {
      const decoded = decode.node_status(bytes);
      return isBus || (decoded.ok && decoded.form === 'envelope') ? changed(decoded, withShownTexts) : decoded;
    },
  };
}

function changed<T>(decoded: Decoded<T>, change: (message: T) => T): Decoded<T> {
  if (!decoded.ok) return decoded;
  const message = change(decoded.message);
  return message === decoded.message ? decoded : { ...decoded, message };
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
