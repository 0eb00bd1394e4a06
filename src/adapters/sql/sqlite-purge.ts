// Deletes expired rows in SQLite, a few hundred of a kind at a time: nothing else runs meanwhile.
import { ADDRESS_TTL_MS, FADED_AT, MAX_STORED, PURGE_ROWS } from './ban-rows.ts';
import type { Database } from './sqlite.ts';

/** Call it in a transaction. */
export function purge(database: Database, nowMs: number): 'done' | 'more' {
  const taken = [
    takeBans(database, nowMs),
    takeScores(database, `WHERE ${FADED_AT} <= ${nowMs} LIMIT ${PURGE_ROWS}`) ||
      takeScores(database, beyond(FADED_AT, MAX_STORED.scores)),
    takeAddresses(database, `WHERE last_seen_ms < ${nowMs - ADDRESS_TTL_MS} LIMIT ${PURGE_ROWS}`) ||
      takeAddresses(database, beyond('last_seen_ms', MAX_STORED.addresses)),
  ];
  return taken.some((rows) => rows >= PURGE_ROWS) ? 'more' : 'done';
}

/** The rows after the first `kept` in descending order. */
function beyond(order: string, kept: number): string {
  return `ORDER BY ${order} DESC LIMIT ${PURGE_ROWS} OFFSET ${kept}`;
}

function takeBans(database: Database, nowMs: number): number {
  const which = `SELECT rowid FROM teranode_p2p_bans WHERE until_ms <= ${nowMs} LIMIT ${PURGE_ROWS}`;
  return Number(database.prepare(`DELETE FROM teranode_p2p_bans WHERE rowid IN (${which})`).run().changes);
}

function takeAddresses(database: Database, which: string): number {
  const rows = `SELECT rowid FROM teranode_p2p_addresses ${which}`;
  return Number(database.prepare(`DELETE FROM teranode_p2p_addresses WHERE rowid IN (${rows})`).run().changes);
}

/** With their offences. */
function takeScores(database: Database, which: string): number {
  const rows = database.prepare(`SELECT rowid AS id, subject, role FROM teranode_p2p_scores ${which}`).all();
  const score = database.prepare('DELETE FROM teranode_p2p_scores WHERE rowid = ?');
  const offences = database.prepare('DELETE FROM teranode_p2p_offences WHERE subject = ? AND role = ?');
  for (const { id, subject, role } of rows) {
    offences.run(subject ?? null, role ?? null);
    score.run(id ?? null);
  }
  return rows.length;
}
