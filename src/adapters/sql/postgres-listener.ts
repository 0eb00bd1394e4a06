// Receives the changes that other servers make, over a connection of its own that LISTENs, is checked every few
// seconds, and is reconnected forever. Notifications sent in between are lost, so each new connection reports that
// anything may have changed.
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { StoreChange } from '../../ports/ban-store.ts';
import type { Logger } from '../../ports/log.ts';
import { connectionConfig, within } from './postgres-pool.ts';

const CHANNEL = 'teranode_p2p_bans';
/** NOTIFY refuses 8,000 bytes and more; a change with a longer key is sent as `all`. */
const MAX_PAYLOAD_BYTES = 4000;
/** A dead connection is detected within the sum of these two. */
const PING_EVERY_MS = 2000;
const PING_DEADLINE_MS = 2000;
const LISTEN_DEADLINE_MS = 2500;
/**
 * Pause between connection attempts: a ban must be in force at the other servers within a second after the database is
 * back.
 */
const RETRY_MS = 300;

/** Arguments of `pg_notify` for a change. `from` is the server that made it. */
export function noticeOf(from: string, change: StoreChange): [channel: string, payload: string] {
  const payload = JSON.stringify({ ...change, from });
  if (Buffer.byteLength(payload) <= MAX_PAYLOAD_BYTES) return [CHANNEL, payload];
  return [CHANNEL, JSON.stringify({ type: 'all', from })];
}

/** undefined for a notification by `self`; `all` for one that cannot be parsed, which a newer version may have sent. */
export function changeOf(self: string, payload: string): StoreChange | undefined {
  let notice: Record<string, unknown> | null;
  try {
    notice = JSON.parse(payload);
  } catch {
    return { type: 'all' };
  }
  if (notice?.from === self) return undefined;
  if (notice?.type === 'ban' && typeof notice.key === 'string') return { type: 'ban', key: notice.key };
  if (notice?.type === 'score' && typeof notice.subject === 'string') return { type: 'score', subject: notice.subject };
  return { type: 'all' };
}

export interface PostgresListenerOptions {
  readonly url: string;
  /** Name of this server: its own changes are ignored. */
  readonly self: string;
  readonly onChange: (change: StoreChange) => void;
}

/** A connection, and a promise that resolves when it has ended. */
interface Line {
  readonly client: Client;
  readonly ended: Promise<'ended'>;
}

export class PostgresListener {
  private readonly log: Logger;
  private readonly options: PostgresListenerOptions;
  private readonly stopped = new AbortController();
  private loop: Promise<void> | undefined;

  constructor(deps: { readonly log: Logger }, options: PostgresListenerOptions) {
    this.log = deps.log;
    this.options = options;
  }

  /** Resolves once changes are received. Throws the client's error when the first connection fails. */
  async start(): Promise<void> {
    const line = await this.connect();
    this.loop = this.run(line);
  }

  /** Ends at once; may be called twice. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await this.loop;
  }

  private async run(first: Line): Promise<void> {
    const { signal } = this.stopped;
    await this.watch(first);
    while (!signal.aborted) {
      this.log.warn({}, 'ban notifications interrupted');
      const line = await this.reconnect();
      if (line === undefined) return;
      this.log.info({}, 'ban notifications restored');
      this.options.onChange({ type: 'all' });
      await this.watch(line);
    }
  }

  /** Retries forever; undefined when stopped. */
  private async reconnect(): Promise<Line | undefined> {
    const { signal } = this.stopped;
    while (!signal.aborted) {
      await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
      try {
        return await this.connect();
      } catch (error) {
        this.log.debug({ err: error }, 'failed to reconnect for ban notifications');
      }
    }
    return undefined;
  }

  private async connect(): Promise<Line> {
    const { signal } = this.stopped;
    signal.throwIfAborted();
    const client = new Client(connectionConfig(this.options.url));
    const ended = new Promise<'ended'>((resolve) => {
      client.on('error', () => resolve('ended'));
      client.on('end', () => resolve('ended'));
    });
    client.on('notification', ({ payload }) => {
      const change = changeOf(this.options.self, payload ?? '');
      if (change !== undefined) this.options.onChange(change);
    });
    const cut = () => client.connection.stream.destroy();
    signal.addEventListener('abort', cut);
    void ended.then(() => {
      signal.removeEventListener('abort', cut);
      cut();
    });
    try {
      await client.connect();
      await within(LISTEN_DEADLINE_MS, client.query(`LISTEN ${CHANNEL}`));
      return { client, ended };
    } catch (error) {
      cut();
      throw error;
    }
  }

  /** Resolves when the connection has ended, or was destroyed because it no longer responds. */
  private async watch({ client, ended }: Line): Promise<void> {
    const { signal } = this.stopped;
    for (let isAlive = true; isAlive; ) {
      const pause = sleep(PING_EVERY_MS, 'ping' as const, { signal });
      const next = await Promise.race([ended, pause.catch(() => 'ended' as const)]);
      isAlive =
        next === 'ping' &&
        (await within(PING_DEADLINE_MS, client.query('SELECT 1')).then(
          () => true,
          () => false,
        ));
    }
    client.connection.stream.destroy();
  }
}
