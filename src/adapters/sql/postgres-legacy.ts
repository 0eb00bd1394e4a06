// Reads a Go deployment's table in PostgreSQL, `bans (key, expiration_time, subnet)`. Times of any type are read as RFC
// 3339 text.
import { DatabaseError } from 'pg';
import type { LegacyBan } from '../../ports/ban-store.ts';
import { MAX_LEGACY_ROWS, toLegacy } from './ban-rows.ts';
import type { PoolClient } from './postgres-pool.ts';

/** SQLSTATEs of a missing table or column. */
const ABSENT = new Set(['42P01', '42703']);

/** JSON writes a time as RFC 3339; a time without zone is UTC here, since Go writes nothing else. */
const READ = `
  SELECT key::text AS key, subnet::text AS subnet,
    (to_json(expiration_time) #>> '{}')
      || CASE WHEN pg_typeof(expiration_time) = 'timestamp'::regtype THEN 'Z' ELSE '' END AS expiration
  FROM bans LIMIT $1`;

/** Empty when they were imported already, or when there is no such table. */
export async function readLegacyBans(client: PoolClient): Promise<LegacyBan[]> {
  const { rows: taken } = await client.query("SELECT 1 FROM teranode_p2p_meta WHERE key = 'legacy_taken'");
  if (taken.length > 0) return [];
  await client.query('SAVEPOINT legacy');
  try {
    const { rows } = await client.query(READ, [MAX_LEGACY_ROWS]);
    return rows.map(toLegacy);
  } catch (error) {
    if (!(error instanceof DatabaseError && ABSENT.has(error.code ?? ''))) throw error;
    await client.query('ROLLBACK TO SAVEPOINT legacy');
    return [];
  }
}
