// What the two stores of bans have in common: bounds, the version of their tables, and rows as the port's types. SQLite gives integers as
// numbers, PostgreSQL gives bigint as text; both are read alike.

import type { BanEntry, BanKind } from '../../domain/ban.ts';
import type { Hash, PeerId } from '../../domain/ids.ts';
import type { BanReason, Offence, ScoreRole, ScoreRow } from '../../domain/offence.ts';
import { P2PError } from '../../lib/errors.ts';
import type { LegacyBan, SeenAddress } from '../../ports/ban-store.ts';

export type Row = Readonly<Record<string, unknown>>;

/** Version of the tables; written into them, so that an older program does not touch newer ones. */
export const SCHEMA_VERSION = 1;

/** Latest offences kept of each subject: what a person reads before lifting a ban, and more than any ban takes. */
export const KEPT_OFFENCES = 50;

/** A banned peer's address is looked up for so long after it was seen there; the duration of a ban by default. */
export const ADDRESS_TTL_MS = 24 * 60 * 60 * 1000;

/** Rows of a Go deployment's table that are read; its own list has no bound. */
export const MAX_LEGACY_ROWS = 1_000_000;

/** Scores, offences and addresses that are loaded at most, the newest ones: ids cost an attacker nothing, memory does. */
export const MAX_LOADED_ROWS = 100_000;

/**
 * Rows that are kept at most, some times what a server has in memory: identities cost an attacker nothing, disk does. Of scores those go that
 * fade soonest, of automatic bans those that end soonest, of addresses those seen longest ago. An operator's bans always stay.
 */
export const MAX_STORED = { scores: 100_000, addresses: 200_000, automaticBans: 500_000 } as const;

/** Rows of a kind that one purge takes: some milliseconds of work. */
export const PURGE_ROWS = 250;

/** The moment at which nothing is left of a score; an index is on exactly this expression. */
export const FADED_AT = '(at_ms + score * 60000)';

export const BAN_COLUMNS = 'key, kind, until_ms, created_at_ms, reason, evidence, source, because';
export const SCORE_COLUMNS = 'subject, role, score, at_ms';
export const OFFENCE_COLUMNS = 'subject, role, reason, points, rule, topic, hash, at_ms';
export const ADDRESS_COLUMNS = 'address, peer_id, last_seen_ms';

/** Text as both databases take it: PostgreSQL refuses U+0000, and what a peer sent must never keep a ban from being kept. */
export function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd');
}

/** In the order of {@link BAN_COLUMNS}. */
export function banValues(entry: BanEntry): (string | number | null)[] {
  const { key, kind, untilMs, createdAtMs, reason, evidence, source, causedBy } = entry;
  return [
    storable(key),
    kind,
    untilMs,
    createdAtMs,
    storable(reason),
    storable(evidence),
    source,
    causedBy === undefined ? null : storable(causedBy),
  ];
}

/** In the order of {@link OFFENCE_COLUMNS}. */
export function offenceValues(offence: Offence): (string | number | null)[] {
  const { subject, role, reason, points, rule, topic, hash, atMs } = offence;
  return [storable(subject), role, reason, points, storable(rule), storable(topic), hash ?? null, atMs];
}

export function toBan(row: Row): BanEntry {
  return {
    key: String(row.key),
    kind: row.kind as BanKind,
    untilMs: Number(row.until_ms),
    createdAtMs: Number(row.created_at_ms),
    reason: String(row.reason),
    evidence: String(row.evidence),
    source: row.source as BanEntry['source'],
    causedBy: row.because === null ? undefined : (row.because as PeerId),
  };
}

export function toScore(row: Row): ScoreRow {
  return {
    subject: String(row.subject),
    role: row.role as ScoreRole,
    score: Number(row.score),
    atMs: Number(row.at_ms),
  };
}

export function toOffence(row: Row): Offence {
  return {
    subject: String(row.subject),
    role: row.role as ScoreRole,
    reason: row.reason as BanReason,
    points: Number(row.points),
    rule: String(row.rule),
    topic: String(row.topic),
    hash: row.hash === null ? undefined : (row.hash as Hash),
    atMs: Number(row.at_ms),
  };
}

export function toAddress(row: Row): SeenAddress {
  return {
    address: String(row.address),
    peerId: row.peer_id as PeerId,
    lastSeenMs: Number(row.last_seen_ms),
  };
}

/** NULL becomes the empty text, which reads as no key and no time. */
export function toLegacy(row: Row): LegacyBan {
  return { key: textOf(row.key), subnet: textOf(row.subnet), expiration: textOf(row.expiration) };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Throws STORE_FAILED when the tables are of another version than this program's. */
export function checkSchemaVersion(found: unknown): void {
  if (found === String(SCHEMA_VERSION)) return;
  throw new P2PError(
    'STORE_FAILED',
    `the store of bans has tables of version ${String(found)}, this program knows ${SCHEMA_VERSION}`,
    { details: { found, known: SCHEMA_VERSION } },
  );
}
