// Scores and offences in SQLite.

import type { Offence, ScoreRow } from '../../domain/offence.ts';
import { decayed, raised } from '../../domain/score-decay.ts';
import type { StoredScores } from '../../ports/ban-store.ts';
import {
  KEPT_OFFENCES,
  MAX_LOADED_ROWS,
  OFFENCE_COLUMNS,
  offenceValues,
  SCORE_COLUMNS,
  storable,
  toOffence,
  toScore,
} from './ban-rows.ts';
import type { Database } from './sqlite.ts';

/** All scores, or those of one subject; the newest when there are too many. */
export function readScores(database: Database, subject?: string): StoredScores {
  const [where, values] = subject === undefined ? ['', []] : ['WHERE subject = ?', [subject]];
  const newest = (columns: string, table: string, order: string) =>
    database
      .prepare(`SELECT ${columns} FROM ${table} ${where} ORDER BY ${order} LIMIT ?`)
      .all(...values, MAX_LOADED_ROWS);
  return {
    scores: newest(SCORE_COLUMNS, 'teranode_p2p_scores', 'at_ms DESC').map(toScore),
    offences: newest(OFFENCE_COLUMNS, 'teranode_p2p_offences', 'at_ms DESC, id DESC').map(toOffence).reverse(),
  };
}

/** Call it in a transaction. Returns the new score. */
export function addOffence(database: Database, offence: Offence, ceiling?: number): ScoreRow {
  const subject = storable(offence.subject);
  const { role, points } = offence;
  const found = database
    .prepare(`SELECT ${SCORE_COLUMNS} FROM teranode_p2p_scores WHERE subject = ? AND role = ?`)
    .get(subject, role);
  const row = found === undefined ? { score: 0, atMs: offence.atMs } : toScore(found);
  const left = decayed(row.score, row.atMs, offence.atMs);
  const next = { subject, role, score: raised(left.score, points, ceiling), atMs: left.atMs };
  database
    .prepare(`INSERT OR REPLACE INTO teranode_p2p_scores (${SCORE_COLUMNS}) VALUES (?, ?, ?, ?)`)
    .run(subject, role, next.score, next.atMs);
  database
    .prepare(`INSERT INTO teranode_p2p_offences (${OFFENCE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
    .run(...offenceValues(offence));
  database
    .prepare(
      `DELETE FROM teranode_p2p_offences WHERE id IN (
         SELECT id FROM teranode_p2p_offences WHERE subject = ? ORDER BY at_ms DESC, id DESC LIMIT -1 OFFSET ?)`,
    )
    .run(subject, KEPT_OFFENCES);
  return next;
}

/** Call it in a transaction. */
export function resetScores(database: Database, subjects: readonly string[]): void {
  const statements = ['teranode_p2p_scores', 'teranode_p2p_offences'].map((table) =>
    database.prepare(`DELETE FROM ${table} WHERE subject = ?`),
  );
  for (const subject of subjects) for (const statement of statements) statement.run(subject);
}
