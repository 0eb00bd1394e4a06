// Texts as records, for tests of producers and consumers; a text that begins with `undecodable` is a fault when it is
// read.
import type { ConsumedMessage } from '../../src/ports/consumer.ts';
import { type Decoded, failed } from '../../src/wire/fault.ts';

export const TEXT_CODEC = {
  encode: (text: string): Uint8Array => Buffer.from(text),
  decode: (bytes: Uint8Array): Decoded<string> => {
    const text = Buffer.from(bytes).toString();
    return text.startsWith('undecodable') ? failed('not_protobuf', text) : { ok: true, message: text };
  },
};

/** The text of a record, or the code of its fault. */
export function textOf({ value }: ConsumedMessage<string>): string {
  return value.ok ? value.message : value.fault.code;
}
