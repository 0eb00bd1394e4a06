// Frames as a server sends them, made by ws: unmasked, so each is made once and the same bytes go to every client.
import { Sender } from 'ws';

declare module 'ws' {
  /** Public in ws, absent from its types. */
  const Sender: { frame(data: Uint8Array, options: FrameOptions): Uint8Array[] };

  interface FrameOptions {
    readonly opcode: number;
    readonly fin: boolean;
  }
}

const TEXT = 1;
const PING = 9;

/** A ping that carries a 32-bit number, which the client sends back. */
export function pingFrame(id: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(id);
  return framed(payload, PING);
}

/** One text message in one frame. */
export function textFrame(payload: Uint8Array): Buffer {
  return framed(payload, TEXT);
}

function framed(payload: Uint8Array, opcode: number): Buffer {
  return Buffer.concat(Sender.frame(payload, { opcode, fin: true }));
}
