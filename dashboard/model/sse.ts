// Reads Server-Sent Events from text as it arrives. EventSource would do so too, but it cannot send the admin key.

export interface SseMessage {
  /** Undefined where the message has none. */
  readonly id: string | undefined;
  /** Empty for a message that tells only an id. */
  readonly event: string;
  readonly data: string;
}

/** Characters of a message that is not complete yet; the server sends no event of this size. */
const MAX_REST_CHARS = 1_048_576;

export class SseParser {
  private rest = '';

  /** The messages that are complete with this text. Comments are left out. Throws when a message has no end. */
  push(text: string): SseMessage[] {
    const blocks = (this.rest + text).replaceAll('\r\n', '\n').split('\n\n');
    this.rest = blocks.pop() ?? '';
    if (this.rest.length > MAX_REST_CHARS) throw new Error(`an event has more than ${MAX_REST_CHARS} characters`);
    return blocks.map(messageOf).filter((message) => message !== undefined);
  }
}

function messageOf(block: string): SseMessage | undefined {
  let id: string | undefined;
  let event = '';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'id') id = value;
    else if (name === 'event') event = value;
    else if (name === 'data') data.push(value);
  }
  return id === undefined && data.length === 0 ? undefined : { id, event, data: data.join('\n') };
}
