// The SQLite tables of the embedded chain: headers with height and total work, the coinbases of mined blocks, and the
// key-value state that services store.

import type { BlockHash, SubtreeHash } from '../../domain/ids.ts';
import { P2PError } from '../../lib/errors.ts';
import type { BlockHeaderRecord } from '../../ports/blockchain-client.ts';
import { hashFromBytes, hashToBytes } from '../../wire/hash.ts';
import { type Database, openDatabase, transaction } from '../sql/sqlite.ts';

const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS headers (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    header BLOB NOT NULL,
    height INTEGER NOT NULL,
    chain_work TEXT NOT NULL,
    tx_count TEXT NOT NULL,
    size_in_bytes TEXT NOT NULL,
    miner TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS headers_by_work ON headers (chain_work DESC, id ASC);
  CREATE INDEX IF NOT EXISTS headers_by_height ON headers (height);
  CREATE TABLE IF NOT EXISTS mined (hash BLOB PRIMARY KEY, coinbase BLOB NOT NULL, txid BLOB NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS mined_by_txid ON mined (txid);
  CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
`;

/** A header and its ancestors; bytes 5 to 36 of a header are the hash of its parent. */
const BACK = `
  WITH RECURSIVE chain AS (
    SELECT * FROM headers WHERE hash = ?
    UNION ALL
    SELECT headers.* FROM chain JOIN headers ON headers.hash = substr(chain.header, 5, 32)
  )`;

/** A stored header. Chain work is stored as 64 hex digits, so that text order is numeric order. */
export type StoredHeader = BlockHeaderRecord & { readonly chainWork: bigint };

export class ChainStore {
  private readonly database: Database;

  private constructor(database: Database) {
    this.database = database;
  }

  /** Opens the database of one network. Throws CHAIN_STORE when it is damaged or belongs to another network. */
  static open(path: string, network: string): ChainStore {
    let database: Database | undefined;
    try {
      database = openDatabase(path);
      database.exec(SCHEMA);
      const store = new ChainStore(database);
      store.claim('network', network, path);
      store.claim('schema', String(SCHEMA_VERSION), path);
      return store;
    } catch (error) {
      database?.close();
      if (error instanceof P2PError) throw error;
      throw new P2PError('CHAIN_STORE', `cannot open the store of the embedded chain: ${path}`, { cause: error });
    }
  }

  private claim(key: string, value: string, path: string): void {
    this.database.prepare('INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)').run(key, value);
    const row = this.database.prepare('SELECT value FROM meta WHERE key = ?').get(key);
    if (row?.value === value) return;
    const advice = key === 'network' ? ': give each network a dataFolder of its own' : '';
    throw new P2PError(
      'CHAIN_STORE',
      `the store ${path} has ${key} ${String(row?.value)} (expected ${value})${advice}`,
    );
  }

  /** Inserts all headers in one transaction; known ones are skipped. */
  insert(headers: readonly StoredHeader[]): void {
    const statement = this.database.prepare(
      'INSERT OR IGNORE INTO headers (hash, header, height, chain_work, tx_count, size_in_bytes, miner) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    transaction(this.database, () => {
      for (const each of headers) {
        const work = each.chainWork.toString(16).padStart(64, '0');
        statement.run(
          hashToBytes(each.hash),
          each.header,
          each.height,
          work,
          String(each.txCount),
          String(each.sizeInBytes),
          each.miner,
        );
      }
    });
  }

  /** The header with the most chain work; of several, the one seen first. */
  best(): StoredHeader | undefined {
    return toHeader(this.database.prepare('SELECT * FROM headers ORDER BY chain_work DESC, id ASC LIMIT 1').get());
  }

  byHash(hash: BlockHash): StoredHeader | undefined {
    return toHeader(this.database.prepare('SELECT * FROM headers WHERE hash = ?').get(hashToBytes(hash)));
  }

  /** From a header back, newest first, at most `count`. */
  back(hash: BlockHash, count: number): StoredHeader[] {
    const rows = this.database.prepare(`${BACK} SELECT * FROM chain LIMIT ?`).all(hashToBytes(hash), count);
    return rows.flatMap((row) => toHeader(row) ?? []);
  }

  /** Of the headers at a height the one with the most work. */
  bestAt(height: number): StoredHeader | undefined {
    const at = 'SELECT * FROM headers INDEXED BY headers_by_height WHERE height = ?';
    return toHeader(this.database.prepare(`${at} ORDER BY chain_work DESC, id ASC LIMIT 1`).get(height));
  }

  /** Deletes headers that are not on the best chain; returns their number. Takes seconds for a million headers. */
  dropBranches(): number {
    const best = this.best();
    const row = this.database.prepare('SELECT count(*) AS count FROM headers').get();
    if (best === undefined || Number(row?.count) === best.height + 1) return 0;
    const { changes } = this.database
      .prepare(`${BACK} DELETE FROM headers WHERE id NOT IN (SELECT id FROM chain)`)
      .run(hashToBytes(best.hash));
    this.database.exec('DELETE FROM mined WHERE hash NOT IN (SELECT hash FROM headers)');
    return Number(changes);
  }

  /** Keeps the only transaction of a block that was mined here. */
  insertMined(hash: BlockHash, coinbase: Uint8Array, txid: SubtreeHash): void {
    this.database
      .prepare('INSERT OR IGNORE INTO mined (hash, coinbase, txid) VALUES (?, ?, ?)')
      .run(hashToBytes(hash), coinbase, hashToBytes(txid));
  }

  /** undefined for a block that was not mined here. */
  coinbaseOf(hash: BlockHash): Uint8Array | undefined {
    const row = this.database.prepare('SELECT coinbase FROM mined WHERE hash = ?').get(hashToBytes(hash));
    return row?.coinbase instanceof Uint8Array ? row.coinbase : undefined;
  }

  hasMinedTx(txid: SubtreeHash): boolean {
    return this.database.prepare('SELECT 1 FROM mined WHERE txid = ?').get(hashToBytes(txid)) !== undefined;
  }

  getState(key: string): Uint8Array | undefined {
    const row = this.database.prepare('SELECT value FROM state WHERE key = ?').get(key);
    return row?.value instanceof Uint8Array ? row.value : undefined;
  }

  setState(key: string, value: Uint8Array): void {
    this.database
      .prepare('INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
      .run(key, value);
  }

  close(): void {
    this.database.close();
  }
}

function toHeader(row: Record<string, unknown> | undefined): StoredHeader | undefined {
  if (row === undefined) return undefined;
  return {
    hash: hashFromBytes(row.hash as Uint8Array),
    header: row.header as Uint8Array,
    height: Number(row.height),
    chainWork: BigInt(`0x${String(row.chain_work)}`),
    txCount: BigInt(String(row.tx_count)),
    sizeInBytes: BigInt(String(row.size_in_bytes)),
    miner: String(row.miner),
    invalid: false,
  };
}
