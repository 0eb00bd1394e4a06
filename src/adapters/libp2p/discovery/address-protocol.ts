// The peer-address protocol of go-p2p-message-bus: a node that wants to connect to a peer asks others for its
// addresses. A request is the wanted peer ID as base58 text, an answer a JSON array of multiaddrs, one of each per
// stream. In 1.0.0 either side reads once and takes the bytes of that read; in 1.1.0 both half-close and read to the
// end.
import type { Connection } from '@libp2p/interface';
import type { PeerId } from '../../../domain/ids.ts';
import { parsePeerId } from '../../../wire/peer-id.ts';
import { readToEnd, sendOnStream } from '../message-stream.ts';
import { libPeerId } from '../peer-ids.ts';

const VERSION_1_1 = '/p2p-msg-bus/peer-addr-request/1.1.0';
const VERSION_1_0 = '/p2p-msg-bus/peer-addr-request/1.0.0';
/** Newest first, as they are offered. */
export const ADDRESS_PROTOCOLS: readonly string[] = [VERSION_1_1, VERSION_1_0];

/** On both sides, for all of a stream. */
export const STREAM_DEADLINE_MS = 10_000;
export const MAX_REQUEST_BYTES = 128;
/** A SHA-256 multihash; shorter IDs are none. */
const MIN_ID_BYTES = 34;
export const MAX_ANSWER_ADDRESSES = 32;
const MAX_ANSWER_BYTES = 8 * 1024;
/** What the one read of a 1.0.0 requester holds. */
const MAX_ANSWER_BYTES_1_0 = 4 * 1024;

/** True where the requester may keep its side open. */
export function answersAtOnce(protocol: string): boolean {
  return protocol === VERSION_1_0;
}

/** undefined when the bytes are not a peer ID. */
export function parseRequest(bytes: Uint8Array): PeerId | undefined {
  const peerId = parsePeerId(Buffer.from(bytes).toString('latin1'));
  if (peerId === undefined) return undefined;
  try {
    return libPeerId(peerId).toMultihash().bytes.byteLength < MIN_ID_BYTES ? undefined : peerId;
  } catch {
    return undefined;
  }
}

/** As many of the addresses, the first ones, as an answer may hold. */
export function encodeAnswer(addresses: readonly string[], protocol: string): Uint8Array {
  const maxBytes = answersAtOnce(protocol) ? MAX_ANSWER_BYTES_1_0 : MAX_ANSWER_BYTES;
  const kept = addresses.slice(0, MAX_ANSWER_ADDRESSES);
  for (;;) {
    const bytes = Buffer.from(JSON.stringify(kept));
    if (bytes.byteLength <= maxBytes) return bytes;
    kept.pop();
  }
}

/** The addresses, as text that is not checked; nodes of 1.0.0 may name more than are read. Throws for anything else. */
export function parseAnswer(bytes: Uint8Array): readonly string[] {
  const parsed: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
  if (!Array.isArray(parsed) || !parsed.every((each) => typeof each === 'string'))
    throw new SyntaxError('invalid answer (expected a JSON array of strings)');
  return parsed.slice(0, MAX_ANSWER_ADDRESSES);
}

/** Asks the peer at the other end. Settles within the deadline of a stream. */
export async function askForAddresses(
  connection: Connection,
  wanted: PeerId,
  ended: AbortSignal,
): Promise<readonly string[]> {
  const signal = AbortSignal.any([ended, AbortSignal.timeout(STREAM_DEADLINE_MS)]);
  const stream = await connection.newStream([...ADDRESS_PROTOCOLS], { signal });
  try {
    const answer = readToEnd(stream, { maxBytes: MAX_ANSWER_BYTES, deadlineMs: STREAM_DEADLINE_MS });
    const [bytes] = await Promise.all([answer, sendOnStream(stream, Buffer.from(wanted), signal)]);
    return parseAnswer(bytes);
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error('failed to ask for addresses'));
    throw error;
  }
}
