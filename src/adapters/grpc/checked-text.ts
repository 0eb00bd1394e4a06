// Refuses texts of requests that are empty, too long or malformed.
import type { Hash } from '../../domain/ids.ts';
import { P2PError } from '../../lib/errors.ts';
import { MAX_REASON_CHARS } from '../../ports/admin-api.ts';
import { parseHash } from '../../wire/hash.ts';

/** A multiaddr with certificate hashes has about 250 characters; all other texts are shorter. */
export const MAX_TEXT_CHARS = 512;

/** The text without surrounding white space. Throws INPUT_INVALID. */
export function checkedText(field: string, text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') throw new P2PError('INPUT_INVALID', `${field} is empty`);
  if (trimmed.length > MAX_TEXT_CHARS) {
    throw new P2PError('INPUT_INVALID', `${field} has ${trimmed.length} characters, at most ${MAX_TEXT_CHARS}`);
  }
  return trimmed;
}

/** Of a ban; empty for none. Throws INPUT_INVALID. */
export function checkedReason(text: string): string {
  if (text.length <= MAX_REASON_CHARS) return text;
  throw new P2PError('INPUT_INVALID', `reason has ${text.length} characters, at most ${MAX_REASON_CHARS}`);
}

/** Throws INPUT_INVALID. */
export function checkedHash(field: string, text: string): Hash {
  const hash = parseHash(checkedText(field, text));
  if (hash !== undefined) return hash;
  throw new P2PError(
    'INPUT_INVALID',
    `invalid ${field} ${JSON.stringify(text.slice(0, 128))} (expected 64 hex digits)`,
  );
}
