// Stores bans, scores and offences in one SQLite file of this node. Its calls are synchronous, so each is one step.
// Only one process uses the file, so there are no changes by others.

import type { BanEntry } from '../../domain/ban.ts';
import type { Offence, ScoreRow } from '../../domain/offence.ts';
import { P2PError } from '../../lib/errors.ts';
import type { BanStore, LegacyBan, SeenAddress, StoreChange, StoredScores } from '../../ports/ban-store.ts';
import type { Logger } from '../../ports/log.ts';
import { ADDRESS_COLUMNS, BAN_COLUMNS, banValues, MAX_LOADED_ROWS, storable, toAddress, toBan } from './ban-rows.ts';
import { type Database, openDatabase, transaction } from './sqlite.ts';
import { createTables, metaValue } from './sqlite-ban-schema.ts';
import { sqliteStoreError } from './sqlite-errors.ts';
import { readLegacy, readLegacyFile } from './sqlite-legacy.ts';
import { purge } from './sqlite-purge.ts';
import { addOffence, readScores, resetScores } from './sqlite-scores.ts';

export interface SqliteBanStoreOptions {
  /** Database file, or `:memory:`. It may be the `bans.db` of a Go deployment. */
  readonly path: string;
  /** Another database, from which a Go deployment's table is imported; it is only read, and need not exist. */
  readonly legacyPath?: string;
}

/** Marks that rows were imported: from our own file, from the other one. */
const TAKEN = { own: 'legacy_taken', other: 'legacy_file_taken' } as const;

export class SqliteBanStore implements BanStore {
  readonly isShared = false;
  private readonly log: Logger;
  private readonly path: string;
  private readonly legacyPath: string | undefined;
  /** Marks of the tables whose rows have been read. */
  private toMark: string[] = [];
  private database: Database | undefined;

  constructor(deps: { readonly log: Logger }, options: SqliteBanStoreOptions) {
    this.log = deps.log;
    this.path = options.path;
    this.legacyPath = options.legacyPath;
  }

  async open(): Promise<void> {
    if (this.database !== undefined) return;
    let database: Database | undefined;
    try {
      database = openDatabase(this.path);
      createTables(database);
      this.database = database;
    } catch (error) {
      database?.close();
      throw sqliteStoreError(error);
    }
    this.log.debug({ path: this.path }, 'ban store opened');
  }

  async close(): Promise<void> {
    this.database?.close();
    this.database = undefined;
  }

  loadBans(): Promise<BanEntry[]> {
    return this.run((database) => database.prepare(`SELECT ${BAN_COLUMNS} FROM teranode_p2p_bans`).all().map(toBan));
  }

  loadBan(key: string): Promise<BanEntry | undefined> {
    return this.run((database) => {
      const row = database.prepare(`SELECT ${BAN_COLUMNS} FROM teranode_p2p_bans WHERE key = ?`).get(storable(key));
      return row === undefined ? undefined : toBan(row);
    });
  }

  putBan(entry: BanEntry): Promise<void> {
    return this.run((database) => {
      database
        .prepare(`INSERT OR REPLACE INTO teranode_p2p_bans (${BAN_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
        .run(...banValues(entry));
    });
  }

  removeBan(key: string): Promise<void> {
    return this.run((database) => {
      database.prepare('DELETE FROM teranode_p2p_bans WHERE key = ?1 OR because = ?1').run(storable(key));
    });
  }

  clearBans(): Promise<void> {
    return this.run((database) => {
      database.exec('DELETE FROM teranode_p2p_bans');
    });
  }

  loadScores(): Promise<StoredScores> {
    return this.run((database) => readScores(database));
  }

  loadScoresOf(subject: string): Promise<StoredScores> {
    return this.run((database) => readScores(database, storable(subject)));
  }

  addOffence(offence: Offence, ceiling?: number): Promise<ScoreRow> {
    return this.run((database) => transaction(database, () => addOffence(database, offence, ceiling)));
  }

  resetScores(subjects: readonly string[]): Promise<void> {
    return this.run((database) => transaction(database, () => resetScores(database, subjects.map(storable))));
  }

  loadAddresses(): Promise<SeenAddress[]> {
    return this.run((database) =>
      database
        .prepare(`SELECT ${ADDRESS_COLUMNS} FROM teranode_p2p_addresses ORDER BY last_seen_ms DESC LIMIT ?`)
        .all(MAX_LOADED_ROWS)
        .map(toAddress),
    );
  }

  loadAddressesAt(address: string): Promise<SeenAddress[]> {
    return this.run((database) =>
      database
        .prepare(`SELECT ${ADDRESS_COLUMNS} FROM teranode_p2p_addresses WHERE address = ? LIMIT ?`)
        .all(storable(address), MAX_LOADED_ROWS)
        .map(toAddress),
    );
  }

  putAddress(seen: SeenAddress): Promise<void> {
    return this.run((database) => {
      database
        .prepare(
          `INSERT INTO teranode_p2p_addresses (${ADDRESS_COLUMNS}) VALUES (?, ?, ?)
           ON CONFLICT (address, peer_id) DO UPDATE SET last_seen_ms = max(last_seen_ms, excluded.last_seen_ms)`,
        )
        .run(storable(seen.address), storable(seen.peerId), seen.lastSeenMs);
    });
  }

  purge(nowMs: number): Promise<'done' | 'more'> {
    return this.run((database) => transaction(database, () => purge(database, nowMs)));
  }

  legacyBans(): Promise<LegacyBan[]> {
    this.toMark = [];
    return this.run((database) => [
      ...this.legacyOf(database, TAKEN.own, () => readLegacy(database)),
      ...this.legacyOf(database, TAKEN.other, () => this.readLegacyFile()),
    ]);
  }

  legacyTaken(): Promise<void> {
    return this.run((database) => {
      const mark = database.prepare("INSERT OR IGNORE INTO teranode_p2p_meta (key, value) VALUES (?, 'yes')");
      for (const key of this.toMark) mark.run(key);
    });
  }

  private legacyOf(database: Database, mark: string, read: () => LegacyBan[] | undefined): LegacyBan[] {
    if (metaValue(database, mark) !== undefined) return [];
    const rows = read();
    if (rows !== undefined) this.toMark.push(mark);
    return rows ?? [];
  }

  /** undefined when the file cannot be read; the next start tries again. */
  private readLegacyFile(): LegacyBan[] | undefined {
    if (this.legacyPath === undefined) return [];
    try {
      return readLegacyFile(this.legacyPath);
    } catch (error) {
      this.log.warn({ err: error, path: this.legacyPath }, 'failed to read bans of a Go deployment');
      return undefined;
    }
  }

  /** Never calls: the file belongs to one process. */
  subscribe(_listener: (change: StoreChange) => void): () => void {
    return () => {};
  }

  private async run<T>(work: (database: Database) => T): Promise<T> {
    if (this.database === undefined) throw new P2PError('STORE_UNAVAILABLE', 'ban store is not open');
    try {
      return work(this.database);
    } catch (error) {
      throw sqliteStoreError(error);
    }
  }
}
