// Keeps the history in a SQLite file, that of the bans, on a connection of its own. Its calls are synchronous: what is
// written at once is little.
import { P2PError } from '../../lib/errors.ts';
import type { HistoryBlock, HistoryHour, HistoryRange, HistoryStore } from '../../ports/history-store.ts';
import {
  blockValues,
  HISTORY_SQL,
  historyPurges,
  historySchema,
  hourValues,
  messageValues,
  PURGED_ROWS,
  toHistoryBlock,
  toHistoryHours,
} from './history-rows.ts';
import { type Database, openDatabase, transaction } from './sqlite.ts';
import { boundLog } from './sqlite-ban-schema.ts';
import { sqliteStoreError } from './sqlite-errors.ts';

export interface SqliteHistoryStoreOptions {
  /** Database file, or `:memory:`. */
  readonly path: string;
  /** Whose rows. */
  readonly node: string;
}

export class SqliteHistoryStore implements HistoryStore {
  private readonly path: string;
  private readonly node: string;
  private database: Database | undefined;

  constructor(options: SqliteHistoryStoreOptions) {
    this.path = options.path;
    this.node = options.node;
  }

  async open(): Promise<void> {
    if (this.database !== undefined) return;
    let database: Database | undefined;
    try {
      database = openDatabase(this.path);
      boundLog(database);
      database.exec(historySchema({ integer: 'INTEGER', mode: 'STRICT' }));
      this.database = database;
    } catch (error) {
      database?.close();
      throw sqliteStoreError(error);
    }
  }

  async close(): Promise<void> {
    this.database?.close();
    this.database = undefined;
  }

  async write(blocks: readonly HistoryBlock[], hours: readonly HistoryHour[]): Promise<void> {
    await this.run((database) =>
      transaction(database, () => {
        const putBlock = database.prepare(HISTORY_SQL.putBlock);
        const putHour = database.prepare(HISTORY_SQL.putHour);
        const putMessages = database.prepare(HISTORY_SQL.putMessages);
        for (const block of blocks) putBlock.run(...blockValues(this.node, block));
        for (const hour of hours) {
          putHour.run(...hourValues(this.node, hour));
          for (const values of messageValues(this.node, hour)) putMessages.run(...values);
        }
      }),
    );
  }

  async blocks({ fromMs, toMs, limit }: HistoryRange): Promise<HistoryBlock[]> {
    return await this.run((database) =>
      database.prepare(HISTORY_SQL.blocks).all(this.node, fromMs, toMs, limit).map(toHistoryBlock),
    );
  }

  async hours({ fromMs, toMs, limit }: HistoryRange): Promise<HistoryHour[]> {
    return await this.run((database) => {
      const hours = database.prepare(HISTORY_SQL.hours).all(this.node, fromMs, toMs, limit);
      const oldest = hours.at(-1)?.hour_ms ?? toMs;
      return toHistoryHours(hours, database.prepare(HISTORY_SQL.messages).all(this.node, oldest, toMs));
    });
  }

  async purge(beforeMs: number): Promise<'done' | 'more'> {
    return await this.run((database) => {
      const taken = historyPurges('rowid').map((text) => database.prepare(text).run(this.node, beforeMs).changes);
      return taken.some((rows) => Number(rows) >= PURGED_ROWS) ? 'more' : 'done';
    });
  }

  private async run<T>(work: (database: Database) => T): Promise<T> {
    if (this.database === undefined) throw new P2PError('STORE_UNAVAILABLE', 'history is not open');
    try {
      return work(this.database);
    } catch (error) {
      throw sqliteStoreError(error);
    }
  }
}
