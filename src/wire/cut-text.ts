// Cuts texts that are too long for a message.

/** Ends a text that was cut. */
export const CUT_MARK = '…';
/** Longest name or version of ours on message-bus. Envelopes stay below their size with it, whatever is escaped. */
export const MAX_NAME_BYTES = 128;

/** At most `maxBytes` of UTF-8 with `mark` at the end; never half a character. Shorter texts stay as they are. */
export function cutText(text: string, maxBytes: number, mark = ''): string {
  // A character has at most three bytes per UTF-16 unit.
  if (text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes) return text;
  const bytes = Buffer.from(text.slice(0, maxBytes));
  let end = Math.max(0, maxBytes - Buffer.byteLength(mark));
  while (end > 0 && isContinuation(bytes[end])) end -= 1;
  return bytes.toString('utf8', 0, end) + mark;
}

/** Second or later byte of a character. */
function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
