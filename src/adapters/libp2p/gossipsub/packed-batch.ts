// The signed bytes of several messages one after the other, as the batch verifier reads them: one copy per message, and
// no object per message. What an author signs is the message without signature and key, after a fixed prefix.
import type { PlainMessage } from './plain-message.ts';
import { KEY_OFFSET, SIGNATURE_BYTES } from './plain-message.ts';

const SIGN_PREFIX = Buffer.from('libp2p-pubsub:');
const LENGTH_BYTES = 4;
const KEY_BYTES = 32;
const START_BYTES = 64 * 1024;
/** Tags of the protobuf fields. */
const [FROM, DATA, SEQNO, TOPIC] = [0x0a, 0x12, 0x1a, 0x22];
/** Tags and lengths of four fields, at most five bytes each, and the fixed parts. */
const OVERHEAD_BYTES = LENGTH_BYTES + KEY_BYTES + SIGNATURE_BYTES + SIGN_PREFIX.length + 24;
/** The topics that this node has joined are few. */
const MAX_TOPICS = 64;

export class PackedBatch {
  /** For each message: length of the signed bytes (32 bits, little-endian), key, signature, signed bytes. */
  private buffer = Buffer.allocUnsafeSlow(START_BYTES);
  private end = 0;
  private number = 0;
  private readonly topics = new Map<string, Uint8Array>();

  get count(): number {
    return this.number;
  }

  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.end);
  }

  clear(): void {
    this.end = 0;
    this.number = 0;
    // One message of a MiB has passed: the memory is returned.
    if (this.buffer.length > 8 * START_BYTES) this.buffer = Buffer.allocUnsafeSlow(START_BYTES);
  }

  /** `signature` is 64 bytes long. */
  add(message: PlainMessage, signature: Uint8Array): void {
    const { from, data, seqno, topic } = message;
    const topicBytes = this.bytesOf(topic);
    this.reserve(OVERHEAD_BYTES + from.length + (data?.length ?? 0) + (seqno?.length ?? 0) + topicBytes.length);
    const start = this.end;
    this.end += LENGTH_BYTES;
    this.copy(from.subarray(KEY_OFFSET, KEY_OFFSET + KEY_BYTES));
    this.copy(signature);
    const signed = this.end;
    this.copy(SIGN_PREFIX);
    this.field(FROM, from);
    if (data !== undefined) this.field(DATA, data);
    if (seqno !== undefined) this.field(SEQNO, seqno);
    if (topicBytes.length > 0) this.field(TOPIC, topicBytes);
    this.buffer.writeUInt32LE(this.end - signed, start);
    this.number += 1;
  }

  /** The parts of each message in turn, for a verifier that takes one at a time. */
  *messages(): Generator<readonly [key: Uint8Array, signature: Uint8Array, signed: Uint8Array]> {
    for (let at = 0; at < this.end; ) {
      const key = at + LENGTH_BYTES;
      const signature = key + KEY_BYTES;
      const signed = signature + SIGNATURE_BYTES;
      const end = signed + this.buffer.readUInt32LE(at);
      const { buffer } = this;
      yield [buffer.subarray(key, signature), buffer.subarray(signature, signed), buffer.subarray(signed, end)];
      at = end;
    }
  }

  private bytesOf(topic: string): Uint8Array {
    let bytes = this.topics.get(topic);
    if (bytes === undefined) {
      bytes = Buffer.from(topic);
      if (this.topics.size < MAX_TOPICS) this.topics.set(topic, bytes);
    }
    return bytes;
  }

  private field(tag: number, bytes: Uint8Array): void {
    this.buffer[this.end] = tag;
    this.end += 1;
    let length = bytes.length;
    for (; length >= 0x80; length >>>= 7) {
      this.buffer[this.end] = (length & 0x7f) | 0x80;
      this.end += 1;
    }
    this.buffer[this.end] = length;
    this.end += 1;
    this.copy(bytes);
  }

  private copy(bytes: Uint8Array): void {
    this.buffer.set(bytes, this.end);
    this.end += bytes.length;
  }

  private reserve(bytes: number): void {
    const needed = this.end + bytes;
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.buffer.length));
    larger.set(this.bytes);
    this.buffer = larger;
  }
}
