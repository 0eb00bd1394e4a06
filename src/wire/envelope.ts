// The envelope that message-bus puts around each gossip message: the sender's client name and the message as base64.
// Written as Go's encoder does, byte for byte.
import { goBytes } from './json.ts';

/** Gossip bytes of a message. `clientName` may be empty. */
export function writeEnvelope(clientName: string, message: Uint8Array): Uint8Array {
  const data = Buffer.from(message.buffer, message.byteOffset, message.byteLength).toString('base64');
  return goBytes([
    ['name', clientName],
    ['data', data],
  ]);
}
