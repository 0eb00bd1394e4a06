// The tables of the shared ban store. Several servers may start at once on an empty database: one creates the tables
// under a lock, others wait.
import type { Logger } from '../../ports/log.ts';
import { checkSchemaVersion, FADED_AT, SCHEMA_VERSION } from './ban-rows.ts';
import type { PoolClient, PostgresPool } from './postgres-pool.ts';

/** First half of our advisory locks, which separates them from those of other programs: "tera" in ASCII. */
export const LOCK_CLASS = 0x74657261;
/** Second half of the lock on the tables; those on subjects are hashes. */
const SCHEMA_LOCK = 0;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS teranode_p2p_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS teranode_p2p_bans (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    until_ms BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    source TEXT NOT NULL,
    because TEXT
  );
  CREATE TABLE IF NOT EXISTS teranode_p2p_scores (
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    score BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (subject, role)
  );
  CREATE TABLE IF NOT EXISTS teranode_p2p_offences (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    reason TEXT NOT NULL,
    points BIGINT NOT NULL,
    rule TEXT NOT NULL,
    topic TEXT NOT NULL,
    hash TEXT,
    at_ms BIGINT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS teranode_p2p_offences_by_subject ON teranode_p2p_offences (subject, at_ms, id);
  CREATE TABLE IF NOT EXISTS teranode_p2p_addresses (
    address TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    PRIMARY KEY (address, peer_id)
  );
  INSERT INTO teranode_p2p_meta (key, value) VALUES ('schema', '${SCHEMA_VERSION}') ON CONFLICT (key) DO NOTHING;
`;

/**
 * For purges and lookups. Separate, because without the right to create indexes an existing store still works, only
 * slower.
 */
const INDEXES = `
  CREATE INDEX IF NOT EXISTS teranode_p2p_bans_by_end ON teranode_p2p_bans (until_ms);
  CREATE INDEX IF NOT EXISTS teranode_p2p_bans_by_cause ON teranode_p2p_bans (because) WHERE because IS NOT NULL;
  CREATE INDEX IF NOT EXISTS teranode_p2p_addresses_by_time ON teranode_p2p_addresses (last_seen_ms);
  CREATE INDEX IF NOT EXISTS teranode_p2p_scores_by_end ON teranode_p2p_scores (${FADED_AT});
`;
/** The last of them. */
const LAST_INDEX = 'teranode_p2p_scores_by_end';

/**
 * Creates what is missing. Throws STORE_FAILED for tables of another version. Needs no right to create when nothing is
 * missing.
 */
export async function prepareSchema(deps: { readonly log: Logger }, pool: PostgresPool): Promise<void> {
  const found = await pool.run(schemaVersion);
  if (found === undefined) await create(pool, SCHEMA);
  else checkSchemaVersion(found);
  if (await pool.run((client) => exists(client, LAST_INDEX))) return;
  await create(pool, INDEXES).catch((error: unknown) => {
    deps.log.warn({ err: error }, 'failed to create indexes of the ban store, purges will be slow');
  });
}

async function create(pool: PostgresPool, text: string): Promise<void> {
  await pool.transaction(async (client) => {
    await client.query('SELECT pg_advisory_xact_lock($1, $2)', [LOCK_CLASS, SCHEMA_LOCK]);
    await client.query(text);
    checkSchemaVersion(await schemaVersion(client));
  });
}

/** Whether there is a table or an index of this name. */
export async function exists(client: PoolClient, name: string): Promise<boolean> {
  const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS present', [name]);
  return rows[0]?.present === true;
}

async function schemaVersion(client: PoolClient): Promise<unknown> {
  if (!(await exists(client, 'teranode_p2p_meta'))) return undefined;
  const { rows } = await client.query("SELECT value FROM teranode_p2p_meta WHERE key = 'schema'");
  return rows[0]?.value;
}
