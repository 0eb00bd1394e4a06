// Stores bans, scores and offences in PostgreSQL, shared by several servers. Each write notifies the others in its own
// transaction, so they are notified exactly when they can read it.
import { randomUUID } from 'node:crypto';
import type { BanEntry } from '../../domain/ban.ts';
import type { Offence, ScoreRow } from '../../domain/offence.ts';
import { P2PError } from '../../lib/errors.ts';
import type { BanStore, LegacyBan, SeenAddress, StoreChange, StoredScores } from '../../ports/ban-store.ts';
import type { Logger } from '../../ports/log.ts';
import { ADDRESS_COLUMNS, BAN_COLUMNS, banValues, MAX_LOADED_ROWS, storable, toAddress, toBan } from './ban-rows.ts';
import { postgresStoreError } from './postgres-errors.ts';
import { readLegacyBans } from './postgres-legacy.ts';
import { noticeOf, PostgresListener } from './postgres-listener.ts';
import { PostgresPool } from './postgres-pool.ts';
import { purge } from './postgres-purge.ts';
import { prepareSchema } from './postgres-schema.ts';
import { addOffence, readScores, resetScores, tell } from './postgres-scores.ts';

export interface PostgresBanStoreOptions {
  /** `postgres://user:password@host:port/database`; parameters as node-postgres reads them. */
  readonly url: string;
}

type Listener = (change: StoreChange) => void;

/** Created by `open`, discarded by `close`. */
interface Parts {
  readonly pool: PostgresPool;
  readonly listener: PostgresListener;
}

const MAX_SUBSCRIBERS = 100;

const PUT_BAN = `
  WITH put AS (
    INSERT INTO teranode_p2p_bans (${BAN_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, until_ms = excluded.until_ms,
      created_at_ms = excluded.created_at_ms, reason = excluded.reason, evidence = excluded.evidence,
      source = excluded.source, because = excluded.because
  ) SELECT pg_notify($9, $10)`;

const REMOVE_BAN = 'DELETE FROM teranode_p2p_bans WHERE key = $1 OR because = $1 RETURNING key';

const CLEAR_BANS = `
  WITH gone AS (DELETE FROM teranode_p2p_bans RETURNING key) SELECT pg_notify($1, $2) FROM gone LIMIT 1`;

const PUT_ADDRESS = `
  INSERT INTO teranode_p2p_addresses AS kept (${ADDRESS_COLUMNS}) VALUES ($1, $2, $3)
  ON CONFLICT (address, peer_id) DO UPDATE SET last_seen_ms = greatest(kept.last_seen_ms, excluded.last_seen_ms)`;

/**
 * Every call settles within 3 s; reads of whole tables, and `open`, within 10 s. A call that failed as unavailable may
 * have taken effect.
 */
export class PostgresBanStore implements BanStore {
  readonly isShared = true;
  private readonly log: Logger;
  private readonly url: string;
  /** Distinguishes this server's changes from those of others. */
  private readonly self = randomUUID();
  private readonly listeners = new Set<Listener>();
  private parts: Parts | undefined;
  private isOpen = false;
  private opening: Promise<void> | undefined;
  private closing: Promise<void> | undefined;

  constructor(deps: { readonly log: Logger }, options: PostgresBanStoreOptions) {
    this.log = deps.log;
    this.url = options.url;
  }

  open(): Promise<void> {
    if (this.opening !== undefined) return this.opening;
    const opening = this.openOnce().catch((error: unknown) => {
      if (this.opening === opening) this.opening = undefined;
      throw error;
    });
    this.opening = opening;
    return opening;
  }

  /** Calls in progress have 2 s to end. May be called twice. */
  close(): Promise<void> {
    this.closing ??= this.closeOnce().finally(() => {
      this.closing = undefined;
    });
    return this.closing;
  }

  async loadBans(): Promise<BanEntry[]> {
    return await this.pool().snapshot(async (client) => {
      const { rows } = await client.query(`SELECT ${BAN_COLUMNS} FROM teranode_p2p_bans`);
      return rows.map(toBan);
    });
  }

  async loadBan(key: string): Promise<BanEntry | undefined> {
    const text = `SELECT ${BAN_COLUMNS} FROM teranode_p2p_bans WHERE key = $1`;
    const { rows } = await this.pool().run((client) => client.query(text, [storable(key)]));
    return rows[0] === undefined ? undefined : toBan(rows[0]);
  }

  async putBan(entry: BanEntry): Promise<void> {
    const notice = noticeOf(this.self, { type: 'ban', key: storable(entry.key) });
    await this.pool().run((client) => client.query(PUT_BAN, [...banValues(entry), ...notice]));
  }

  async removeBan(key: string): Promise<void> {
    await this.pool().transaction(async (client) => {
      const { rows } = await client.query(REMOVE_BAN, [storable(key)]);
      const notices = rows.map((row) => noticeOf(this.self, { type: 'ban', key: row.key }));
      await tell(client, notices);
    });
  }

  async clearBans(): Promise<void> {
    await this.pool().run((client) => client.query(CLEAR_BANS, noticeOf(this.self, { type: 'all' })));
  }

  async loadScores(): Promise<StoredScores> {
    return await this.pool().snapshot((client) => readScores(client));
  }

  async loadScoresOf(subject: string): Promise<StoredScores> {
    return await this.pool().run((client) => readScores(client, storable(subject)));
  }

  async addOffence(offence: Offence, ceiling?: number): Promise<ScoreRow> {
    const notice = noticeOf(this.self, { type: 'score', subject: storable(offence.subject) });
    return await this.pool().transaction((client) => addOffence(client, offence, ceiling, notice));
  }

  async resetScores(subjects: readonly string[]): Promise<void> {
    const notice = (subject: string) => noticeOf(this.self, { type: 'score', subject });
    await this.pool().transaction((client) => resetScores(client, subjects.map(storable), notice));
  }

  async loadAddresses(): Promise<SeenAddress[]> {
    const text = `SELECT ${ADDRESS_COLUMNS} FROM teranode_p2p_addresses ORDER BY last_seen_ms DESC LIMIT ${MAX_LOADED_ROWS}`;
    return await this.pool().snapshot(async (client) => (await client.query(text)).rows.map(toAddress));
  }

  async loadAddressesAt(address: string): Promise<SeenAddress[]> {
    const text = `SELECT ${ADDRESS_COLUMNS} FROM teranode_p2p_addresses WHERE address = $1 LIMIT ${MAX_LOADED_ROWS}`;
    const { rows } = await this.pool().run((client) => client.query(text, [storable(address)]));
    return rows.map(toAddress);
  }

  async putAddress({ address, peerId, lastSeenMs }: SeenAddress): Promise<void> {
    await this.pool().run((client) => client.query(PUT_ADDRESS, [storable(address), storable(peerId), lastSeenMs]));
  }

  async purge(nowMs: number): Promise<'done' | 'more'> {
    return await this.pool().transaction((client) => purge(client, nowMs));
  }

  async legacyBans(): Promise<LegacyBan[]> {
    return await this.pool().snapshot(readLegacyBans);
  }

  async legacyTaken(): Promise<void> {
    const text = "INSERT INTO teranode_p2p_meta (key, value) VALUES ('legacy_taken', 'yes') ON CONFLICT DO NOTHING";
    await this.pool().run((client) => client.query(text));
  }

  /** At most 100 listeners. They are called with `all` whenever the connection for notifications was restored. */
  subscribe(listener: Listener): () => void {
    if (this.listeners.size >= MAX_SUBSCRIBERS) throw new RangeError(`at most ${MAX_SUBSCRIBERS} subscribers`);
    // A new function, so that one subscribed twice counts as two subscribers.
    const own: Listener = (change) => listener(change);
    this.listeners.add(own);
    return () => this.listeners.delete(own);
  }

  private async openOnce(): Promise<void> {
    const deps = { log: this.log };
    const parts: Parts = {
      pool: new PostgresPool(deps, { url: this.url }),
      listener: new PostgresListener(deps, {
        url: this.url,
        self: this.self,
        onChange: (change) => this.tell(change),
      }),
    };
    this.parts = parts;
    try {
      await prepareSchema(deps, parts.pool);
      await parts.listener.start();
      if (this.parts !== parts) throw new P2PError('STORE_UNAVAILABLE', 'ban store was closed');
      this.isOpen = true;
    } catch (error) {
      await shut(parts);
      throw postgresStoreError(error);
    }
  }

  private async closeOnce(): Promise<void> {
    const { parts } = this;
    this.parts = undefined;
    this.isOpen = false;
    this.opening = undefined;
    if (parts !== undefined) await shut(parts);
  }

  private tell(change: StoreChange): void {
    for (const listener of this.listeners) {
      try {
        listener(change);
      } catch (error) {
        this.log.error({ change: change.type, err: error }, 'ban store subscriber failed');
      }
    }
  }

  private pool(): PostgresPool {
    if (this.parts === undefined || !this.isOpen) throw new P2PError('STORE_UNAVAILABLE', 'ban store is not open');
    return this.parts.pool;
  }
}

async function shut({ pool, listener }: Parts): Promise<void> {
  await Promise.all([listener.stop(), pool.close()]);
}
