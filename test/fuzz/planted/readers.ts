// Readers with faults as people make them, behind readers that are right. The fuzzer must find each.
import { parseKafkaUrl } from '../../../src/settings/kafka-url.ts';
import { decodeHandshake } from '../../../src/wire/handshake.ts';
import { decodeNodeStatus } from '../../../src/wire/node-status.ts';

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

/** A number of consumers of zero. */
export function noConsumers(input: Uint8Array): void {
  let url: ReturnType<typeof parseKafkaUrl>;
  try {
    url = parseKafkaUrl(Buffer.from(input).toString());
  } catch {
    return;
  }
  if (url.replay) return;
  if (Math.floor(url.partitions / url.consumerRatio) === 0) throw new RangeError('planted: no consumers');
}

/** A list is read to the length that another field says. */
export function countedList(input: Uint8Array): void {
  const decoded = decodeNodeStatus(input);
  if (!decoded.ok) return;
  const { subtrees, subtreeCount, txCount } = decoded.message.blockAssemblyDetails;
  if (txCount > 0n && subtrees.length > 0 && subtreeCount > subtrees.length)
    throw new RangeError('planted: an entry that is not there');
}

/** Time that grows with the square of the length. */
export function slowTrim(input: Uint8Array): void {
  const text = Buffer.from(input).toString('latin1');
  if (text.startsWith('dnsaddr=')) text.replace(/\s+$/, '');
  if (text.startsWith('dnsaddr=') && /[ ]{300}/.test(text) && !text.endsWith(' ')) throw new Error('planted: too slow');
}
