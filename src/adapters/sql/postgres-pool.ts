// Connections to PostgreSQL, with a deadline on everything: a call that gets no answer ends, and its connection with it. So the server rolls
// back what was not committed, and nobody meets a connection in an unknown state.
import { type ClientConfig, Pool, type PoolClient } from 'pg';
import { P2PError } from '../../lib/errors.ts';
import type { Logger } from '../../ports/log.ts';
import { postgresStoreError } from './postgres-errors.ts';

/** Bans change rarely; few connections, since several servers share one PostgreSQL. */
const MAX_CONNECTIONS = 4;
const CONNECT_TIMEOUT_MS = 1500;
/** A call settles within this, a connection to make or wait for included. */
const CALL_DEADLINE_MS = 3000;
/** The server gives up a little before, so that it holds no lock for a caller that has gone. */
const STATEMENT_TIMEOUT_MS = 2500;
/** Whole tables, once the server has answered: a million rows take one second here, on a slow line several. */
const LOAD_DEADLINE_MS = 10_000;
const LOAD_STATEMENT_TIMEOUT_MS = 9000;
const KEEP_ALIVE_DELAY_MS = 5000;
const CLOSE_DEADLINE_MS = 2000;

export type { PoolClient } from 'pg';

/** What every connection of ours is made with. */
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
    this.pool.on('error', (error) => deps.log.debug({ err: error }, 'idle connection to PostgreSQL lost'));
  }

  /** One connection for `work`, 3 s at most. Throws STORE_UNAVAILABLE, STORE_FAILED; it may have taken effect in the first case. */
  async run<T>(work: (client: PoolClient) => Promise<T>, deadlineMs = CALL_DEADLINE_MS): Promise<T> {
    const startedMs = performance.now();
    try {
      const client = await this.pool.connect();
      return await this.lend(client, work, deadlineMs - (performance.now() - startedMs));
    } catch (error) {
      throw postgresStoreError(error);
    }
  }

  /** All of `work` or nothing, 3 s at most. Throws as {@link run}. */
  transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.run(async (client) => {
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    });
  }

  /** Reads whole tables as of one moment, 10 s at most, of which a server that is away takes 3 s. Throws as {@link run}. */
  snapshot<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const begin = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = ${LOAD_STATEMENT_TIMEOUT_MS}`;
    return this.run(async (client) => {
      await within(CALL_DEADLINE_MS - CONNECT_TIMEOUT_MS, client.query(begin));
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    }, LOAD_DEADLINE_MS);
  }

  /** Lets calls under way end, 2 s at most, then cuts them. May be called twice. */
  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private async closeOnce(): Promise<void> {
    await within(CLOSE_DEADLINE_MS, this.pool.end()).catch(() => {});
    for (const client of this.clients) client.connection.stream.destroy();
  }

  private async lend<T>(client: PoolClient, work: (client: PoolClient) => Promise<T>, leftMs: number): Promise<T> {
    // A connection that breaks says so in the query's own error; unheard, the event would end the process.
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

/** What `answer` settles with; throws STORE_UNAVAILABLE after `deadlineMs`. */
export async function within<T>(deadlineMs: number, answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new P2PError('STORE_UNAVAILABLE', 'PostgreSQL, the store of bans, did not answer in time'));
  }, deadlineMs);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
