// What both history stores share: tables, statements and the conversion of rows. Parameters are question marks, which
// PostgreSQL's store numbers.
import type { Hash, PeerId } from '../../domain/ids.ts';
import type { HistoryBlock, HistoryHour, HistoryMessages } from '../../ports/history-store.ts';
import { type Row, storable } from './ban-rows.ts';

/** Rows of a kind deleted by one purge: a few milliseconds of work. */
export const PURGED_ROWS = 250;

/** `integer`: a type of 64 bits. `mode`: what follows a table. */
export function historySchema({ integer, mode }: { readonly integer: string; readonly mode: string }): string {
  return `
  CREATE TABLE IF NOT EXISTS teranode_p2p_history_blocks (
    node TEXT NOT NULL,
    hash TEXT NOT NULL,
    height ${integer} NOT NULL,
    author TEXT NOT NULL,
    client_name TEXT,
    received_from TEXT,
    first_seen_ms ${integer} NOT NULL,
    announcers ${integer} NOT NULL,
    PRIMARY KEY (node, hash)
  ) ${mode};
  CREATE INDEX IF NOT EXISTS teranode_p2p_history_blocks_by_time
    ON teranode_p2p_history_blocks (node, first_seen_ms);
  CREATE TABLE IF NOT EXISTS teranode_p2p_history_messages (
    node TEXT NOT NULL,
    hour_ms ${integer} NOT NULL,
    topic TEXT NOT NULL,
    result TEXT NOT NULL,
    messages ${integer} NOT NULL,
    PRIMARY KEY (node, hour_ms, topic, result)
  ) ${mode};
  CREATE TABLE IF NOT EXISTS teranode_p2p_history_hours (
    node TEXT NOT NULL,
    hour_ms ${integer} NOT NULL,
    peers ${integer} NOT NULL,
    tip_height ${integer},
    lag ${integer},
    reorgs ${integer} NOT NULL,
    PRIMARY KEY (node, hour_ms)
  ) ${mode};
`;
}

/** The table that is created last. */
export const LAST_HISTORY_TABLE = 'teranode_p2p_history_hours';

const BLOCK_COLUMNS = 'hash, height, author, client_name, received_from, first_seen_ms, announcers';

export const HISTORY_SQL = {
  putBlock: `INSERT INTO teranode_p2p_history_blocks AS kept (node, ${BLOCK_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (node, hash) DO UPDATE SET announcers =
      CASE WHEN excluded.announcers > kept.announcers THEN excluded.announcers ELSE kept.announcers END`,
  putHour: `INSERT INTO teranode_p2p_history_hours AS kept (node, hour_ms, peers, tip_height, lag, reorgs)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (node, hour_ms) DO UPDATE SET peers = excluded.peers, tip_height = excluded.tip_height,
      lag = excluded.lag, reorgs = kept.reorgs + excluded.reorgs`,
  putMessages: `INSERT INTO teranode_p2p_history_messages AS kept (node, hour_ms, topic, result, messages)
    VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (node, hour_ms, topic, result) DO UPDATE SET messages = kept.messages + excluded.messages`,
  blocks: `SELECT ${BLOCK_COLUMNS} FROM teranode_p2p_history_blocks
    WHERE node = ? AND first_seen_ms >= ? AND first_seen_ms <= ? ORDER BY first_seen_ms DESC, hash LIMIT ?`,
  hours: `SELECT hour_ms, peers, tip_height, lag, reorgs FROM teranode_p2p_history_hours
    WHERE node = ? AND hour_ms >= ? AND hour_ms <= ? ORDER BY hour_ms DESC LIMIT ?`,
  messages: `SELECT hour_ms, topic, result, messages FROM teranode_p2p_history_messages
    WHERE node = ? AND hour_ms >= ? AND hour_ms <= ? ORDER BY hour_ms, topic, result`,
} as const;

/** Deletes rows of a node before a time, a few hundred of each table. `key`: what names a row. */
export function historyPurges(key: 'rowid' | 'ctid'): readonly string[] {
  const tables = [
    ['blocks', 'first_seen_ms'],
    ['messages', 'hour_ms'],
    ['hours', 'hour_ms'],
  ] as const;
  return tables.map(([name, time]) => {
    const table = `teranode_p2p_history_${name}`;
    const some = `SELECT ${key} FROM ${table} WHERE node = ? AND ${time} < ? LIMIT ${PURGED_ROWS}`;
    return `DELETE FROM ${table} WHERE ${key} IN (${some})`;
  });
}

export type HistoryValue = string | number | null;

/** For `putBlock`. */
export function blockValues(node: string, block: HistoryBlock): HistoryValue[] {
  const { hash, height, author, clientName, receivedFrom, firstSeenMs, announcers } = block;
  const name = clientName === undefined ? null : storable(clientName);
  return [node, hash, height, author, name, receivedFrom ?? null, firstSeenMs, announcers];
}

/** For `putHour`. */
export function hourValues(node: string, { hourMs, peers, tipHeight, lag, reorgs }: HistoryHour): HistoryValue[] {
  return [node, hourMs, peers, tipHeight ?? null, lag ?? null, reorgs];
}

/** For `putMessages`, of each. */
export function messageValues(node: string, { hourMs, messages }: HistoryHour): HistoryValue[][] {
  return messages.map(({ topic, result, count }) => [node, hourMs, storable(topic), result, count]);
}

export function toHistoryBlock(row: Row): HistoryBlock {
  return {
    hash: String(row.hash) as Hash,
    height: Number(row.height),
    author: String(row.author) as PeerId,
    clientName: row.client_name === null ? undefined : String(row.client_name),
    receivedFrom: row.received_from === null ? undefined : (String(row.received_from) as PeerId),
    firstSeenMs: Number(row.first_seen_ms),
    announcers: Number(row.announcers),
  };
}

export function toHistoryHours(hours: readonly Row[], messages: readonly Row[]): HistoryHour[] {
  const byHour = new Map<number, HistoryMessages[]>();
  for (const row of messages) {
    const hour = Number(row.hour_ms);
    const counts = byHour.get(hour) ?? [];
    byHour.set(hour, counts);
    counts.push({ topic: String(row.topic), result: String(row.result), count: Number(row.messages) });
  }
  return hours.map((row) => ({
    hourMs: Number(row.hour_ms),
    peers: Number(row.peers),
    tipHeight: row.tip_height === null ? undefined : Number(row.tip_height),
    lag: row.lag === null ? undefined : Number(row.lag),
    reorgs: Number(row.reorgs),
    messages: byHour.get(Number(row.hour_ms)) ?? [],
  }));
}
