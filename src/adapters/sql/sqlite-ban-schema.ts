// The tables of the ban store in SQLite, and their version.
import { checkSchemaVersion, FADED_AT, SCHEMA_VERSION } from './ban-rows.ts';
import { type Database, transaction } from './sqlite.ts';

/** How long a statement waits for another process's lock; short, because nothing else runs meanwhile. */
const BUSY_TIMEOUT_MS = 500;

/**
 * Pages of the log before they are moved into the database: 400 KB. The log takes many times the space of the bans in
 * it, and a disk that is nearly full must not be filled by it.
 */
const CHECKPOINT_PAGES = 100;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS teranode_p2p_bans (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    source TEXT NOT NULL,
    because TEXT
  ) STRICT;
  CREATE TABLE IF NOT EXISTS teranode_p2p_scores (
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    score INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (subject, role)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS teranode_p2p_offences (
    id INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    reason TEXT NOT NULL,
    points INTEGER NOT NULL,
    rule TEXT NOT NULL,
    topic TEXT NOT NULL,
    hash TEXT,
    at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS teranode_p2p_offences_by_subject ON teranode_p2p_offences (subject, at_ms, id);
  CREATE TABLE IF NOT EXISTS teranode_p2p_addresses (
    address TEXT NOT NULL,
    peer_id TEXT NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    PRIMARY KEY (address, peer_id)
  ) STRICT;
  CREATE INDEX IF NOT EXISTS teranode_p2p_bans_by_end ON teranode_p2p_bans (until_ms);
  CREATE INDEX IF NOT EXISTS teranode_p2p_bans_by_cause ON teranode_p2p_bans (because) WHERE because IS NOT NULL;
  CREATE INDEX IF NOT EXISTS teranode_p2p_scores_by_end ON teranode_p2p_scores (${FADED_AT});
  CREATE INDEX IF NOT EXISTS teranode_p2p_addresses_by_time ON teranode_p2p_addresses (last_seen_ms);
`;

/** For every connection to the file: how long it waits, and how long its log may get. */
export function boundLog(database: Database): void {
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
}

/** Creates what is missing. Throws STORE_FAILED for tables of another version, otherwise SQLite's errors. */
export function createTables(database: Database): void {
  boundLog(database);
  transaction(database, () => {
    database.exec('CREATE TABLE IF NOT EXISTS teranode_p2p_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT');
    database
      .prepare("INSERT OR IGNORE INTO teranode_p2p_meta (key, value) VALUES ('schema', ?)")
      .run(String(SCHEMA_VERSION));
    checkSchemaVersion(metaValue(database, 'schema'));
    database.exec(SCHEMA);
  });
}

/** undefined when it is not set. */
export function metaValue(database: Database, key: string): unknown {
  return database.prepare('SELECT value FROM teranode_p2p_meta WHERE key = ?').get(key)?.value;
}
