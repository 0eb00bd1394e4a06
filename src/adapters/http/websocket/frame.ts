// Frames as a server sends them (RFC 6455): unmasked, so the same bytes go to everybody and are made once.

const FINAL_TEXT = 0x81;
const FINAL_PING = 0x89;
const SHORT_MAX = 125;
const MEDIUM_MAX = 0xffff;

/** A ping that carries a number of 32 bits; whoever answers sends it back. */
export function pingFrame(id: number): Buffer {
  const frame = Buffer.of(FINAL_PING, 4, 0, 0, 0, 0);
  frame.writeUInt32BE(id, 2);
  return frame;
}

/** One text message in one frame. */
export function textFrame(payload: Uint8Array): Buffer {
  const { length } = payload;
  if (length <= SHORT_MAX) return joined(Buffer.of(FINAL_TEXT, length), payload);
  if (length <= MEDIUM_MAX) {
    const head = Buffer.of(FINAL_TEXT, 126, 0, 0);
    head.writeUInt16BE(length, 2);
    return joined(head, payload);
  }
  const head = Buffer.alloc(10);
  head.set([FINAL_TEXT, 127]);
  head.writeBigUInt64BE(BigInt(length), 2);
  return joined(head, payload);
}

function joined(head: Buffer, payload: Uint8Array): Buffer {
  return Buffer.concat([head, payload]);
}
