// Gossip messages as validators and handlers see them, by topic.
import type { Decoded } from '../wire/fault.ts';
import type { TopicKind, TopicMessages, WireFormat } from '../wire/format.ts';
import { type ReceivedBlock, receivedBlock } from './received-block.ts';

export interface ReceivedMessages extends Omit<TopicMessages, 'block'> {
  readonly block: ReceivedBlock;
}

/** Decoders of one network's wire format. */
export type Decoders = { readonly [K in TopicKind]: (bytes: Uint8Array) => Decoded<ReceivedMessages[K]> };

export function decodersOf({ decode }: Pick<WireFormat, 'decode'>): Decoders {
  return { ...decode, block: (bytes) => receivedBlock(decode.block(bytes)) };
}
