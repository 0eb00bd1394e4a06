// Rows that a Go deployment left in the store: keys as somebody wrote them, times as RFC 3339 text.
import type { BanEntry, LegacyBan } from '../ports/ban-store.ts';
import { parseBanKey } from './ban-key.ts';

/** What is readable and has not ended, by canonical key; of two spellings of one key the later end counts. */
export function legacyEntries(
  rows: readonly LegacyBan[],
  nowMs: number,
): { readonly entries: readonly BanEntry[]; readonly unreadable: number } {
  const entries = new Map<string, BanEntry>();
  let unreadable = 0;
  for (const row of rows) {
    const key = parseBanKey(row.key) ?? parseBanKey(row.subnet);
    const untilMs = Date.parse(row.expiration);
    if (key === undefined || Number.isNaN(untilMs)) {
      unreadable += 1;
      continue;
    }
    const known = entries.get(key.key);
    if (untilMs <= nowMs || (known !== undefined && known.untilMs >= untilMs)) continue;
    entries.set(key.key, {
      key: key.key,
      kind: key.kind,
      untilMs,
      createdAtMs: nowMs,
      reason: 'banned by an earlier Go server',
      evidence: row.key.slice(0, 128),
      source: 'imported',
      because: undefined,
    });
  }
  return { entries: [...entries.values()], unreadable };
}
