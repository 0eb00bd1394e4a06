// Deletes expired rows in PostgreSQL, a few hundred of a kind at a time. Rows locked by another server are left for the
// next run.
import { ADDRESS_TTL_MS, FADED_AT, MAX_STORED, PURGE_ROWS } from './ban-rows.ts';
import type { PoolClient } from './postgres-pool.ts';

/**
 * Call it in a transaction. Rows that have not ended by the database's clock stay, so that a server whose clock is
 * ahead deletes nothing early.
 */
export async function purge(client: PoolClient, serverMs: number): Promise<'done' | 'more'> {
  const { rows } = await client.query('SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms');
  const nowMs = Math.min(serverMs, Number(rows[0]?.now_ms));
  const taken = [
    (await takeBans(client, `WHERE until_ms <= ${nowMs} LIMIT ${PURGE_ROWS}`)) ||
      (await takeBans(
        client,
        `WHERE source IN ('automatic', 'service') ${beyond('until_ms', MAX_STORED.automaticBans)}`,
      )),
    (await takeScores(client, `WHERE ${FADED_AT} <= ${nowMs} LIMIT ${PURGE_ROWS}`)) ||
      (await takeScores(client, beyond(FADED_AT, MAX_STORED.scores))),
    (await takeAddresses(client, `WHERE last_seen_ms < ${nowMs - ADDRESS_TTL_MS} LIMIT ${PURGE_ROWS}`)) ||
      (await takeAddresses(client, beyond('last_seen_ms', MAX_STORED.addresses))),
  ];
  return taken.some((rows) => rows >= PURGE_ROWS) ? 'more' : 'done';
}

/** The rows after the first `kept` in descending order. */
function beyond(order: string, kept: number): string {
  return `ORDER BY ${order} DESC LIMIT ${PURGE_ROWS} OFFSET ${kept}`;
}

/**
 * Locks rows that no other server has locked; returns their columns. A sub-select, because rows skipped by OFFSET would
 * be locked too.
 */
async function held(client: PoolClient, table: string, columns: string[], which: string): Promise<unknown[][]> {
  const names = columns.join(', ');
  const text = `SELECT ${names} FROM ${table} WHERE (${names}) IN (SELECT ${names} FROM ${table} ${which}) FOR UPDATE SKIP LOCKED`;
  const { rows } = await client.query(text);
  return columns.map((column) => rows.map((row) => row[column]));
}

async function takeBans(client: PoolClient, which: string): Promise<number> {
  const [keys = []] = await held(client, 'teranode_p2p_bans', ['key'], which);
  if (keys.length > 0) await client.query('DELETE FROM teranode_p2p_bans WHERE key = ANY($1)', [keys]);
  return keys.length;
}

async function takeAddresses(client: PoolClient, which: string): Promise<number> {
  const [addresses = [], peers = []] = await held(client, 'teranode_p2p_addresses', ['address', 'peer_id'], which);
  if (addresses.length > 0)
    await client.query(deleting('teranode_p2p_addresses', 'address', 'peer_id'), [addresses, peers]);
  return addresses.length;
}

/** With their offences. */
async function takeScores(client: PoolClient, which: string): Promise<number> {
  const [subjects = [], roles = []] = await held(client, 'teranode_p2p_scores', ['subject', 'role'], which);
  if (subjects.length === 0) return 0;
  for (const table of ['teranode_p2p_offences', 'teranode_p2p_scores'])
    await client.query(deleting(table, 'subject', 'role'), [subjects, roles]);
  return subjects.length;
}

/** Deletes by pairs; the condition on the first column alone lets PostgreSQL use an index. */
function deleting(table: string, first: string, second: string): string {
  return `DELETE FROM ${table} WHERE ${first} = ANY($1::text[])
    AND (${first}, ${second}) IN (SELECT * FROM unnest($1::text[], $2::text[]))`;
}
