// The frames of a capture file: eight bytes that say what it is, then records. Each record has the length of its
// content (32 bits, big-endian), the CRC-32 of the content, and the content: the length of its JSON (32 bits), the JSON,
// and for each blob its length and bytes.
import { crc32 } from 'node:zlib';

/** The last character is the version of the format. */
export const MAGIC = Buffer.from('TP2PCAP1');
const FAMILY_BYTES = MAGIC.length - 1;
const HEAD_BYTES = 8;
const LENGTH_BYTES = 4;
/** A gossip message has 1 MiB at most, and its JSON a few kilobytes. */
export const MAX_RECORD_BYTES = 4 * 1024 * 1024;

export interface Content {
  readonly json: string;
  readonly blobs: readonly Uint8Array[];
}

/** Whether a file that begins with these bytes is a capture, of any version. */
export function isCapture(first: Buffer): boolean {
  return first.length >= MAGIC.length && first.subarray(0, FAMILY_BYTES).equals(MAGIC.subarray(0, FAMILY_BYTES));
}

/** The bytes of a record; undefined when it is too large for one. */
export function encodeFrame({ json, blobs }: Content): Buffer | undefined {
  const jsonBytes = Buffer.byteLength(json);
  const size = blobs.reduce((sum, blob) => sum + LENGTH_BYTES + blob.length, LENGTH_BYTES + jsonBytes);
  if (size > MAX_RECORD_BYTES) return undefined;
  const frame = Buffer.allocUnsafe(HEAD_BYTES + size);
  let at = frame.writeUInt32BE(size, 0) + LENGTH_BYTES;
  at = frame.writeUInt32BE(jsonBytes, at);
  at += frame.write(json, at);
  for (const blob of blobs) {
    at = frame.writeUInt32BE(blob.length, at);
    frame.set(blob, at);
    at += blob.length;
  }
  frame.writeUInt32BE(crc32(frame.subarray(HEAD_BYTES)), LENGTH_BYTES);
  return frame;
}

/** What ended the reading of a file, unless all of it was read. */
export type FrameFault =
  | { readonly what: 'not_a_capture' }
  | { readonly what: 'other_version'; readonly version: string }
  /** The file ends within a record, as it does when its node was killed. */
  | { readonly what: 'truncated'; readonly atByte: number }
  | { readonly what: 'damaged'; readonly atByte: number; readonly why: string };

/** Fills the buffer from the file's position on; returns the number of bytes, fewer only at its end. */
export type ReadBytes = (buffer: Buffer, position: number) => number;

/** The contents of a file in turn; returns what is wrong with the rest. Memory is bounded by one record. */
export function* readFrames(read: ReadBytes): Generator<Content, FrameFault | undefined, undefined> {
  const magic = Buffer.alloc(MAGIC.length);
  const got = read(magic, 0);
  if (!isCapture(magic.subarray(0, got))) return { what: 'not_a_capture' };
  if (!magic.equals(MAGIC)) return { what: 'other_version', version: magic.toString('latin1', FAMILY_BYTES) };
  const head = Buffer.alloc(HEAD_BYTES);
  for (let atByte = MAGIC.length; ; ) {
    const headBytes = read(head, atByte);
    if (headBytes === 0) return undefined;
    if (headBytes < HEAD_BYTES) return { what: 'truncated', atByte };
    const size = head.readUInt32BE(0);
    // Where the machine lost power, a file system may leave zeros.
    if (size === 0) return { what: 'truncated', atByte };
    if (size < LENGTH_BYTES || size > MAX_RECORD_BYTES)
      return { what: 'damaged', atByte, why: `a record of ${size} bytes` };
    const body = Buffer.allocUnsafe(size);
    if (read(body, atByte + HEAD_BYTES) < size) return { what: 'truncated', atByte };
    if (crc32(body) !== head.readUInt32BE(LENGTH_BYTES)) return { what: 'damaged', atByte, why: 'checksum mismatch' };
    const content = contentOf(body);
    if (content === undefined) return { what: 'damaged', atByte, why: 'lengths that do not fit' };
    yield content;
    atByte += HEAD_BYTES + size;
  }
}

/** undefined unless the lengths inside fit exactly. */
function contentOf(body: Buffer): Content | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    if (at + LENGTH_BYTES > body.length) return undefined;
    const start = at + LENGTH_BYTES;
    const end = start + body.readUInt32BE(at);
    if (end > body.length) return undefined;
    parts.push(body.subarray(start, end));
    at = end;
  }
  const [json, ...blobs] = parts;
  return json && { json: json.toString('utf8'), blobs };
}
