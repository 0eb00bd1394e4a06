// Makes the entry of a new ban: checks its end, limits its texts.
import type { BanEntry, BanKey } from '../../domain/ban.ts';
import { P2PError } from '../../lib/errors.ts';
import { shownText } from '../../lib/shown-text.ts';

/** Why a ban was set, and by whom. */
export type BanFacts = Pick<BanEntry, 'reason' | 'evidence' | 'source' | 'causedBy'>;

/** The end of year 9999: later times cannot be written as a date. */
const LAST_UNTIL_MS = 253_402_300_799_000;
const MAX_TEXT_CHARS = 500;

/** Throws INPUT_INVALID when the end is not in the future. */
export function newBan(key: BanKey, untilMs: number, facts: BanFacts, nowMs: number): BanEntry {
  const end = Math.min(untilMs, LAST_UNTIL_MS);
  if (!Number.isFinite(end) || end <= nowMs) {
    throw new P2PError('INPUT_INVALID', `invalid end of a ban ${untilMs} (expected Unix milliseconds in the future)`);
  }
  return {
    key: key.key,
    kind: key.kind,
    untilMs: end,
    createdAtMs: nowMs,
    ...facts,
    reason: limited(facts.reason),
    evidence: limited(facts.evidence),
  };
}

export function limited(text: string): string {
  return shownText(text, MAX_TEXT_CHARS);
}
