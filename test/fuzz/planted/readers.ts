// Readers with faults as people make them, behind readers that are right. The fuzzer must find each.
import { decodeHandshake } from '../../../src/wire/handshake.ts';

/** A height of a verack is taken for a signed number. */
export function signedHeight(input: Uint8Array): void {
  const decoded = decodeHandshake(input);
  if (!decoded.ok || decoded.message.type !== 'verack') return;
  if (decoded.message.bestHash === undefined && (decoded.message.bestHeight | 0) < 0)
    throw new RangeError('planted: a height below zero');
}

/** Fields of tag, length, value; the length of a field within a field is not checked. */
export function uncheckedLength(input: Uint8Array): void {
  if (input[0] !== 0x0a) return;
  let at = 0;
  while (at + 1 < input.length) {
    const [tag, length = 0] = input.subarray(at, at + 2);
    const field = input.subarray(at + 2, at + 2 + length);
    if (field.length !== length) return;
    if (tag === 0x12 && field[0] === 0x1a && (field[1] ?? 0) > field.length - 2)
      throw new RangeError('planted: read behind the end');
    if (tag !== 0x0a && tag !== 0x12) return;
    at += 2 + length;
  }
}

/** A long run of spaces, which a regular expression takes the square of its length for. */
export function slowTrim(input: Uint8Array): void {
  const text = Buffer.from(input).toString('latin1');
  if (text.startsWith('dnsaddr=') && /[ ]{300}[^ ]*$/.test(text)) throw new RangeError('planted: too slow');
}
