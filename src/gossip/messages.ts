// Gossip messages as validators and handlers see them, by topic.
import type { NodeStatusMessage } from '../domain/node-status.ts';
import { shownText } from '../lib/shown-text.ts';
import type { Decoded } from '../wire/fault.ts';
import type { TopicKind, TopicMessages, WireFormat } from '../wire/format.ts';
import type { MiningOnMessage } from '../wire/mining-on.ts';
import type { RejectedTxMessage } from '../wire/rejected-tx.ts';
import { MAX_NAME_CHARS, shownName } from '../wire/shown-name.ts';
import { type ReceivedBlock, receivedBlock } from './received-block.ts';

export interface ReceivedMessages extends Omit<TopicMessages, 'block'> {
  readonly block: ReceivedBlock;
}

/** Decoders of one network's wire format. Texts are as they may be shown; names are cut to 64 characters. */
export type Decoders = { readonly [K in TopicKind]: (bytes: Uint8Array) => Decoded<ReceivedMessages[K]> };

export function decodersOf({ name, decode }: Pick<WireFormat, 'name' | 'decode'>): Decoders {
  const isBus = name === 'message-bus';
  return {
    ...decode,
    block: (bytes) => changed(receivedBlock(decode.block(bytes)), withShownName),
    subtree: (bytes) => changed(decode.subtree(bytes), withShownName),
    mining_on: (bytes) => changed(decode.mining_on(bytes), withShownMiner),
    rejected_tx: (bytes) => changed(decode.rejected_tx(bytes), withShownReason),
    node_status: (bytes) => {
      const decoded = decode.node_status(bytes);
      const isEnveloped = isBus || (decoded.ok && decoded.form === 'envelope');
      return changed(decoded, (message) => withShownTexts(message, isEnveloped ? shownName : cutName));
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

function withShownMiner(message: MiningOnMessage): MiningOnMessage {
  return { ...message, miner: cutName(message.miner) };
}

function withShownReason(message: RejectedTxMessage): RejectedTxMessage {
  const reason = shownText(message.reason);
  return reason === message.reason ? message : { ...message, reason };
}

/** As go-p2p has it: names in any script. */
function cutName(text: string): string {
  return shownText(text, MAX_NAME_CHARS);
}

function withShownTexts(message: NodeStatusMessage, shown: (text: string) => string): NodeStatusMessage {
  const { blockAssemblyDetails: details } = message;
  return {
    ...message,
    version: shown(message.version),
    commitHash: shown(message.commitHash),
    fsmState: shown(message.fsmState),
    clientName: shown(message.clientName),
    minerName: shown(message.minerName),
    listenMode: shown(message.listenMode),
    chainWork: shown(message.chainWork),
    syncPeerId: shown(message.syncPeerId),
    blockAssemblyDetails: {
      ...details,
      blockAssemblyState: shown(details.blockAssemblyState),
      subtreeProcessorState: shown(details.subtreeProcessorState),
    },
  };
}
