// Parses the peer IDs and reasons that operators send. Every function throws INPUT_INVALID with what is expected.
// Subjects of bans are parsed by the ban service.
import type { PeerId } from '../domain/ids.ts';
import type { BanReason } from '../domain/offence.ts';
import { P2PError } from '../lib/errors.ts';
import { SCORE_REASONS, type ScoreReason } from '../ports/admin-api.ts';
import { parsePeerId } from '../wire/peer-id.ts';

/** Of a text that an error repeats. */
const MAX_SHOWN_CHARS = 128;

export function peerIdInput(text: string): PeerId {
  const peerId = parsePeerId(text.trim());
  if (peerId !== undefined) return peerId;
  throw new P2PError('INPUT_INVALID', `invalid peer ID ${shown(text)} (expected e.g. 12D3Koo…)`);
}

export function scoreReason(text: string): ScoreReason {
  const reason = SCORE_REASONS.find((each) => each === text);
  if (reason !== undefined) return reason;
  throw new P2PError('INPUT_INVALID', `invalid reason ${shown(text)} (expected one of ${SCORE_REASONS.join(', ')})`);
}

/** As services of 2026 write them. */
const CATCH_UP_REASONS: ReadonlyMap<string, BanReason> = new Map([
  ['catchup_failure', 'catch_up_failure'],
  ['catchup_malicious', 'catch_up_malicious'],
]);

/** What a service of 2026 means: it may give any reason. */
export function anyReason(text: string): BanReason {
  return SCORE_REASONS.find((each) => each === text) ?? CATCH_UP_REASONS.get(text) ?? 'unknown';
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, MAX_SHOWN_CHARS));
}
