// Parses what operators send: each text once, here. Every function throws INPUT_INVALID with what is expected.
import { type BanKey, parseBanKey } from '../bans/list/ban-key.ts';
import type { PeerId } from '../domain/ids.ts';
import { P2PError } from '../lib/errors.ts';
import { SCORE_REASONS, type ScoreReason } from '../ports/admin-api.ts';
import { parsePeerId } from '../wire/peer-id.ts';

const MAX_HOST_CHARS = 260;
/** Of a text that an error repeats. */
const MAX_SHOWN_CHARS = 128;

/** What can be banned: an IP, a subnet, `host:port` with an IP as host, or a peer ID. */
export function banSubject(text: string): BanKey {
  return parseBanKey(text) ?? refuse(text, 'IP, subnet or peer ID', 'e.g. 192.0.2.7, 192.0.2.0/24 or 12D3Koo…');
}

export function peerIdInput(text: string): PeerId {
  return parsePeerId(text.trim()) ?? refuse(text, 'peer ID', 'e.g. 12D3Koo…');
}

export function scoreReason(text: string): ScoreReason {
  const reason = SCORE_REASONS.find((each) => each === text);
  if (reason !== undefined) return reason;
  throw new P2PError('INPUT_INVALID', `invalid reason ${shown(text)} (expected one of ${SCORE_REASONS.join(', ')})`);
}

/**
 * What can be explained: all that can be banned, and the host of a DataHub with or without its port. A name without a
 * dot may be a mistyped peer ID, so it counts as a host only when `isKnown` says so.
 */
export function explainSubject(text: string, isKnown: (host: string) => boolean): BanKey | { readonly host: string } {
  const key = parseBanKey(text);
  if (key !== undefined) return key;
  const host = text
    .trim()
    .toLowerCase()
    .replace(/:\d{1,5}$/, '');
  const isName = host.length <= MAX_HOST_CHARS && /^[a-z0-9][a-z0-9._-]*$/.test(host);
  if (isName && (host.includes('.') || isKnown(host))) return { host };
  return refuse(text, 'subject', 'an IP, a subnet, a peer ID or the host of a DataHub');
}

function refuse(text: string, what: string, expected: string): never {
  throw new P2PError('INPUT_INVALID', `invalid ${what} ${shown(text)} (expected ${expected})`);
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, MAX_SHOWN_CHARS));
}
