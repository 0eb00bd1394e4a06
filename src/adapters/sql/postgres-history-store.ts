// Keeps the history in PostgreSQL, in the database of the bans. Several servers may share it: each has rows of its own.
import { P2PError } from '../../lib/errors.ts';
import type { HistoryBlock, HistoryHour, HistoryRange, HistoryStore } from '../../ports/history-store.ts';
import type { Logger } from '../../ports/log.ts';
import {
  blockValues,
  HISTORY_SQL,
  type HistoryValue,
  historyPurges,
  historySchema,
  hourValues,
  LAST_HISTORY_TABLE,
  messageValues,
  PURGED_ROWS,
  toHistoryBlock,
  toHistoryHours,
} from './history-rows.ts';
import { type PoolClient, PostgresPool, type QueryResult } from './postgres-pool.ts';
import { exists, LOCK_CLASS } from './postgres-schema.ts';

export interface PostgresHistoryStoreOptions {
  readonly url: string;
  /** Whose rows. */
  readonly node: string;
}

/** Second half of the lock on the tables; that of the ban store is 0. */
const SCHEMA_LOCK = 1;

/** Of up to eight values each; PostgreSQL takes 65,535 values. */
const ROWS_PER_STATEMENT = 1000;

/** Every call settles within 3 s. A call that failed as unavailable may have taken effect. */
export class PostgresHistoryStore implements HistoryStore {
  private readonly log: Logger;
  private readonly options: PostgresHistoryStoreOptions;
  private pool: PostgresPool | undefined;

  constructor(deps: { readonly log: Logger }, options: PostgresHistoryStoreOptions) {
    this.log = deps.log;
    this.options = options;
  }

  async open(): Promise<void> {
    if (this.pool !== undefined) return;
    const pool = new PostgresPool({ log: this.log }, { url: this.options.url });
    try {
      // Needs no right to create when nothing is missing.
      const isThere = await pool.run((client) => exists(client, LAST_HISTORY_TABLE));
      if (!isThere) await pool.transaction(create);
      this.pool = pool;
    } catch (error) {
      await pool.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const { pool } = this;
    this.pool = undefined;
    await pool?.close();
  }

  async write(blocks: readonly HistoryBlock[], hours: readonly HistoryHour[]): Promise<void> {
    const { node } = this.options;
    await this.opened().transaction(async (client) => {
      const messages = hours.flatMap((hour) => messageValues(node, hour));
      await putAll(
        client,
        HISTORY_SQL.putBlock,
        blocks.map((block) => blockValues(node, block)),
      );
      await putAll(
        client,
        HISTORY_SQL.putHour,
        hours.map((hour) => hourValues(node, hour)),
      );
      await putAll(client, HISTORY_SQL.putMessages, messages);
    });
  }

  async blocks({ fromMs, toMs, limit }: HistoryRange): Promise<HistoryBlock[]> {
    const values = [this.options.node, fromMs, toMs, limit];
    const { rows } = await this.opened().run((client) => query(client, HISTORY_SQL.blocks, values));
    return rows.map(toHistoryBlock);
  }

  async hours({ fromMs, toMs, limit }: HistoryRange): Promise<HistoryHour[]> {
    const { node } = this.options;
    return await this.opened().snapshot(async (client) => {
      const { rows } = await query(client, HISTORY_SQL.hours, [node, fromMs, toMs, limit]);
      const oldest = Number(rows.at(-1)?.hour_ms ?? toMs);
      const messages = await query(client, HISTORY_SQL.messages, [node, oldest, toMs]);
      return toHistoryHours(rows, messages.rows);
    });
  }

  async purge(beforeMs: number): Promise<'done' | 'more'> {
    return await this.opened().run(async (client) => {
      const taken: number[] = [];
      for (const text of historyPurges('ctid')) {
        taken.push((await query(client, text, [this.options.node, beforeMs])).rowCount ?? 0);
      }
      return taken.some((rows) => rows >= PURGED_ROWS) ? 'more' : 'done';
    });
  }

  private opened(): PostgresPool {
    if (this.pool === undefined) throw new P2PError('STORE_UNAVAILABLE', 'history is not open');
    return this.pool;
  }
}

async function create(client: PoolClient): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock($1, $2)', [LOCK_CLASS, SCHEMA_LOCK]);
  await client.query(historySchema({ integer: 'BIGINT', mode: '' }));
}

/** One statement for many rows: after an outage a round trip for each would take longer than a call may. */
async function putAll(client: PoolClient, text: string, rows: readonly HistoryValue[][]): Promise<void> {
  for (let at = 0; at < rows.length; at += ROWS_PER_STATEMENT) {
    const some = rows.slice(at, at + ROWS_PER_STATEMENT);
    const many = text.replace(/\(\?[?, ]*\)/, (row) => some.map(() => row).join(', '));
    await query(client, many, some.flat());
  }
}

function query(client: PoolClient, text: string, values: HistoryValue[]): Promise<QueryResult> {
  let nth = 0;
  return client.query(
    text.replace(/\?/g, () => `$${++nth}`),
    values,
  );
}
