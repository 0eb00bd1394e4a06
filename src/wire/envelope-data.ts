// Reads the envelope that message-bus puts around each gossip message.
import { type Decoded, failed } from './fault.ts';

/** Fields that messages without an envelope have, in lower case. */
const PLAIN_FIELDS = ['hash', 'type', 'txid'];

/**
 * The bytes of the message inside an envelope; undefined when the object is a message itself. `fields` has lower-case
 * names. An envelope without data is not told from a message without fields: neither is valid.
 */
export function envelopeData(fields: ReadonlyMap<string, unknown>): Decoded<Uint8Array> | undefined {
  const data = fields.get('data');
  if (typeof data !== 'string' || PLAIN_FIELDS.some((name) => fields.has(name))) return undefined;
  const name = fields.get('name') ?? '';
  if (typeof name !== 'string') return failed('wrong_type', 'name');
  // Go ignores line breaks in base64, and nothing else.
  const text = data.includes('\n') || data.includes('\r') ? data.replaceAll(/[\r\n]/g, '') : data;
  const bytes = Buffer.from(text, 'base64');
  return isBase64(text, bytes) ? { ok: true, message: bytes } : failed('not_base64', 'data');
}

/** Node reads more than standard base64 with padding; what it wrote again would differ then. */
function isBase64(text: string, bytes: Buffer): boolean {
  return (
    text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text) && Math.ceil(bytes.length / 3) * 4 === text.length
  );
}
