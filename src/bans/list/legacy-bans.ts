// Bans that a Go deployment left in the store: keys as an operator wrote them, times as RFC 3339 text.

import type { Ban } from '../../domain/ban.ts';
import type { LegacyBan } from '../../ports/ban-store.ts';
import { banWith } from './ban-index.ts';
import { parseBanKey } from './ban-key.ts';

/**
 * RFC 3339, also with a space, and the format in which Go prints a time. Date.parse alone would accept many other texts
 * as a year.
 */
const TIME =
  /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ?(?:[Zz]|([+-]\d\d):?(\d\d))(?: [A-Z]{1,5})?(?: m=[+-][\d.]+)?$/;

/** Bans that can be parsed and have not ended. Of two spellings of one key the later end counts. */
export function legacyBans(
  rows: readonly LegacyBan[],
  nowMs: number,
): { readonly bans: readonly Ban[]; readonly unreadable: number } {
  const bans = new Map<string, Ban>();
  let unreadable = 0;
  for (const row of rows) {
    const key = parseBanKey(row.key) ?? parseBanKey(row.subnet);
    const untilMs = timeOf(row.expiration);
    if (key === undefined || untilMs === undefined) {
      unreadable += 1;
      continue;
    }
    const known = bans.get(key.key);
    if (untilMs <= nowMs || (known !== undefined && known.untilMs >= untilMs)) continue;
    const entry = {
      key: key.key,
      kind: key.kind,
      untilMs,
      createdAtMs: nowMs,
      reason: 'banned by an earlier Go server',
      evidence: row.key.slice(0, 128),
      source: 'imported',
      causedBy: undefined,
    } as const;
    bans.set(key.key, banWith(key, entry));
  }
  return { bans: [...bans.values()], unreadable };
}

/** Unix ms; undefined for a text that is not a time. */
function timeOf(text: string): number | undefined {
  const [whole, date, time, fraction = '0', hours = '+00', minutes = '00'] = TIME.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const ms = Date.parse(`${date}T${time}.${fraction.slice(0, 3)}${hours}:${minutes}`);
  return Number.isNaN(ms) ? undefined : ms;
}
