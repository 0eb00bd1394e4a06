// Scores and offences in PostgreSQL. A server that changes a subject's rows holds a lock on the subject, so that no
// server loses another's points.
import { createHash } from 'node:crypto';
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
import type { PoolClient } from './postgres-pool.ts';
import { LOCK_CLASS } from './postgres-schema.ts';

export type Notice = readonly [channel: string, payload: string];

/** Locks the subject, and inserts its row if there is none. */
const LOCK_SCORE = `
  WITH locked AS (SELECT pg_advisory_xact_lock($1::int, $2::int))
  INSERT INTO teranode_p2p_scores AS kept (${SCORE_COLUMNS}) SELECT $3, $4, 0, $5::bigint FROM locked
  ON CONFLICT (subject, role) DO UPDATE SET score = kept.score
  RETURNING score, at_ms`;

const WRITE_SCORE = 'UPDATE teranode_p2p_scores SET score = $3, at_ms = $4 WHERE subject = $1 AND role = $2';

const ADD_OFFENCE = `INSERT INTO teranode_p2p_offences (${OFFENCE_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`;

const TRIM_AND_TELL = `
  WITH trimmed AS (
    DELETE FROM teranode_p2p_offences WHERE id IN (
      SELECT id FROM teranode_p2p_offences WHERE subject = $1 ORDER BY at_ms DESC, id DESC OFFSET $2)
  ) SELECT pg_notify($3, $4)`;

const RESET = `
  WITH scores AS (DELETE FROM teranode_p2p_scores WHERE subject = ANY($1) RETURNING subject),
    offences AS (DELETE FROM teranode_p2p_offences WHERE subject = ANY($1) RETURNING subject)
  SELECT subject FROM scores UNION SELECT subject FROM offences`;

/** Call it in a transaction. Resolves with the new score. */
export async function addOffence(
  client: PoolClient,
  offence: Offence,
  ceiling: number | undefined,
  notice: Notice,
): Promise<ScoreRow> {
  const subject = storable(offence.subject);
  const { role, points, atMs } = offence;
  const { rows } = await client.query(LOCK_SCORE, [LOCK_CLASS, lockOf(subject), subject, role, atMs]);
  const left = decayed(Number(rows[0]?.score), Number(rows[0]?.at_ms), atMs);
  const next = { subject, role, score: raised(left.score, points, ceiling), atMs: left.atMs };
  await client.query(WRITE_SCORE, [subject, role, next.score, next.atMs]);
  await client.query(ADD_OFFENCE, offenceValues(offence));
  await client.query(TRIM_AND_TELL, [subject, KEPT_OFFENCES, ...notice]);
  return next;
}

/** Call it in a transaction. `noticeOf` makes the notification for a subject. */
export async function resetScores(
  client: PoolClient,
  subjects: readonly string[],
  noticeOf: (subject: string) => Notice,
): Promise<void> {
  // In the same order everywhere, to avoid deadlocks; and in a statement of its own, so that the next one sees what the
  // previous holder of a lock wrote.
  const locks = [...new Set(subjects.map(lockOf))].sort((a, b) => a - b);
  await client.query('SELECT pg_advisory_xact_lock($1, lock) FROM unnest($2::int[]) AS lock', [LOCK_CLASS, locks]);
  const { rows } = await client.query(RESET, [subjects]);
  const notices = rows.map(({ subject }) => noticeOf(String(subject)));
  await tell(client, notices);
}

/** Call it in a transaction. */
export async function tell(client: PoolClient, notices: readonly Notice[]): Promise<void> {
  const columns = [0, 1].map((i) => notices.map((notice) => notice[i]));
  const text = 'SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS notice (channel, payload)';
  if (notices.length > 0) await client.query(text, columns);
}

/** All scores, or those of one subject; the newest when there are too many. */
export async function readScores(client: PoolClient, subject?: string): Promise<StoredScores> {
  const [where, values] = subject === undefined ? ['', []] : ['WHERE subject = $1', [subject]];
  const newest = async (columns: string, table: string, order: string) => {
    const text = `SELECT ${columns} FROM ${table} ${where} ORDER BY ${order} LIMIT ${MAX_LOADED_ROWS}`;
    return (await client.query(text, values)).rows;
  };
  const scores = await newest(SCORE_COLUMNS, 'teranode_p2p_scores', 'at_ms DESC');
  const offences = await newest(OFFENCE_COLUMNS, 'teranode_p2p_offences', 'at_ms DESC, id DESC');
  return { scores: scores.map(toScore), offences: offences.map(toOffence).reverse() };
}

/** Second half of a subject's advisory lock. Two subjects with the same lock only wait for each other. */
function lockOf(subject: string): number {
  return createHash('sha256').update(subject).digest().readInt32BE(0);
}
