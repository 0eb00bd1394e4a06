// Connections to PostgreSQL, with a deadline for everything: a call without a response fails, and its connection is
// closed. The database then rolls back what was not committed, and no connection is reused in an unknown state.
import { type ClientConfig, Pool, type PoolClient } from 'pg';
import { withDeadline } from '../../lib/deadline.ts';
import { P2PError } from '../../lib/errors.ts';
import type { Logger } from '../../ports/log.ts';
import { postgresStoreError } from './postgres-errors.ts';

/** Few connections: bans change rarely, and several servers share one PostgreSQL. */
const MAX_CONNECTIONS = 4;
const CONNECT_TIMEOUT_MS = 1500;
/** A call settles within this time, including the time to get a connection. */
const CALL_DEADLINE_MS = 3000;
/** The database gives up a little earlier, so that it holds no lock for a caller that has given up. */
const STATEMENT_TIMEOUT_MS = 2500;
/**
 * For whole tables, once the database has responded: a million rows take one second here, several on a slow connection.
 */
const LOAD_DEADLINE_MS = 10_000;
const LOAD_STATEMENT_TIMEOUT_MS = 9000;
const KEEP_ALIVE_DELAY_MS = 5000;
const CLOSE_DEADLINE_MS = 2000;

export type { PoolClient, QueryResult } from 'pg';

/** Configuration of every connection. */
export function connectionConfig(url: string): ClientConfig {
  return {
    connectionString: url,
    application_name: 'teranode-p2p',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: CALL_DEADLINE_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
  };
}

export class PostgresPool {
  private readonly pool: Pool;
  private readonly clients = new Set<PoolClient>();
  private closing: Promise<void> | undefined;

  constructor(deps: { readonly log: Logger }, options: { readonly url: string }) {
    this.pool = new Pool({ ...connectionConfig(options.url), max: MAX_CONNECTIONS });
    this.pool.on('connect', (client) => this.clients.add(client));
    this.pool.on('remove', (client) => this.clients.delete(client));
    this.pool.on('error', (error) => deps.log.debug({ err: error }, 'idle PostgreSQL connection lost'));
  }

  /**
   * Runs `work` on a connection, for at most 3 s. Throws STORE_UNAVAILABLE (it may have taken effect), STORE_FAILED.
   */
  async run<T>(work: (client: PoolClient) => Promise<T>, deadlineMs = CALL_DEADLINE_MS): Promise<T> {
    const startedMs = performance.now();
    try {
      const client = await this.pool.connect();
      return await this.lend(client, work, deadlineMs - (performance.now() - startedMs));
    } catch (error) {
      throw postgresStoreError(error);
    }
  }

  /** Runs `work` in a transaction, for at most 3 s. Throws as {@link run}. */
  transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.run(async (client) => {
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    });
  }

  /** Reads whole tables in one snapshot, for at most 10 s, or 3 s when the database is down. Throws as {@link run}. */
  snapshot<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const begin = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = ${LOAD_STATEMENT_TIMEOUT_MS}`;
    return this.run(async (client) => {
      await within(CALL_DEADLINE_MS - CONNECT_TIMEOUT_MS, client.query(begin));
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    }, LOAD_DEADLINE_MS);
  }

  /** Waits up to 2 s for calls in progress, then closes their connections. May be called twice. */
  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private async closeOnce(): Promise<void> {
    await within(CLOSE_DEADLINE_MS, this.pool.end()).catch(() => {});
    for (const client of this.clients) client.connection.stream.destroy();
  }

  private async lend<T>(client: PoolClient, work: (client: PoolClient) => Promise<T>, leftMs: number): Promise<T> {
    // A broken connection also fails the query; without a listener its event would end the process.
    const ignore = () => {};
    client.on('error', ignore);
    let isSound = false;
    try {
      const result = await within(leftMs, work(client));
      isSound = true;
      return result;
    } finally {
      client.release(!isSound);
      client.off('error', ignore);
    }
  }
}

/** Settles as `answer` does; throws STORE_UNAVAILABLE after `deadlineMs`. */
export async function within<T>(deadlineMs: number, answer: Promise<T>): Promise<T> {
  try {
    return await withDeadline(answer, deadlineMs, 'no response from PostgreSQL');
  } catch (error) {
    if (!(error instanceof P2PError && error.code === 'TIMEOUT')) throw error;
    throw new P2PError('STORE_UNAVAILABLE', `ban store unavailable: ${error.message}`, { cause: error });
  }
}
