// Rows that a Go deployment left in the store: keys as somebody wrote them, times as RFC 3339 text.
import type { BanEntry, LegacyBan } from '../../ports/ban-store.ts';
import { parseBanKey } from './ban-key.ts';

/** RFC 3339, also with a space, and as Go prints a time; Date.parse alone would take many other texts for some year. */
const TIME =
  /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ?(?:[Zz]|([+-]\d\d):?(\d\d))(?: [A-Z]{1,5})?(?: m=[+-][\d.]+)?$/;

/** What is readable and has not ended, by canonical key; of two spellings of one key the later end counts. */
export function legacyEntries(
  rows: readonly LegacyBan[],
  nowMs: number,
): { readonly entries: readonly BanEntry[]; readonly unreadable: number } {
  const entries = new Map<string, BanEntry>();
  let unreadable = 0;
  for (const row of rows) {
    const key = parseBanKey(row.key) ?? parseBanKey(row.subnet);
    const untilMs = timeOf(row.expiration);
    if (key === undefined || untilMs === undefined) {
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

/** Unix ms; undefined for what is no time. */
function timeOf(text: string): number | undefined {
  const [whole, date, time, fraction = '0', hours = '+00', minutes = '00'] = TIME.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const ms = Date.parse(`${date}T${time}.${fraction.slice(0, 3)}${hours}:${minutes}`);
  return Number.isNaN(ms) ? undefined : ms;
}
