// What both ban stores share: limits, the version of their tables, and the conversion of rows to the port's types.
// SQLite returns integers as numbers, PostgreSQL returns bigint as text; both are accepted.

import type { BanEntry, BanKind } from '../../domain/ban.ts';
import type { Hash, PeerId } from '../../domain/ids.ts';
import type { BanReason, Offence, ScoreRole, ScoreRow } from '../../domain/offence.ts';
import { P2PError } from '../../lib/errors.ts';
import type { LegacyBan, SeenAddress } from '../../ports/ban-store.ts';

export type Row = Readonly<Record<string, unknown>>;

/** Version of the tables; written into them, so that an older program does not change newer tables. */
export const SCHEMA_VERSION = 1;

/** Number of latest offences kept per subject: enough to review a ban, and more than any ban needs. */
export const KEPT_OFFENCES = 50;

/** How long a peer's address is kept after the peer was seen there; the default duration of a ban. */
export const ADDRESS_TTL_MS = 24 * 60 * 60 * 1000;

/** Maximum number of rows read from a Go deployment's table; its own list has no limit. */
export const MAX_LEGACY_ROWS = 1_000_000;

/**
 * Maximum number of scores, offences and addresses loaded, the newest: new IDs cost an attacker nothing, memory costs
 * us.
 */
export const MAX_LOADED_ROWS = 100_000;

/**
 * Maximum number of rows kept, several times what a server holds in memory: new identities cost an attacker nothing,
 * disk space costs us. The scores that decay soonest, the automatic bans that end soonest, and the oldest addresses are
 * deleted first. Bans of operators always stay.
 */
export const MAX_STORED = { scores: 100_000, addresses: 200_000, automaticBans: 500_000 } as const;

/** Rows of a kind deleted by one purge: a few milliseconds of work. */
export const PURGE_ROWS = 250;

/** The time at which a score has decayed to zero; an index uses exactly this expression. */
export const FADED_AT = '(at_ms + score * 60000)';

export const BAN_COLUMNS = 'key, kind, until_ms, created_at_ms, reason, evidence, source, because';
export const SCORE_COLUMNS = 'subject, role, score, at_ms';
export const OFFENCE_COLUMNS = 'subject, role, reason, points, rule, topic, hash, at_ms';
export const ADDRESS_COLUMNS = 'address, peer_id, last_seen_ms';

/**
 * Text that both databases accept: PostgreSQL refuses U+0000, and text from a peer must never prevent a ban from being
 * stored.
 */
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

/** NULL becomes the empty text, which is neither a key nor a time. */
export function toLegacy(row: Row): LegacyBan {
  return { key: textOf(row.key), subnet: textOf(row.subnet), expiration: textOf(row.expiration) };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Throws STORE_FAILED when the tables have another version than this program's. */
export function checkSchemaVersion(found: unknown): void {
  if (found === String(SCHEMA_VERSION)) return;
  throw new P2PError('STORE_FAILED', `ban store tables have version ${String(found)} (expected ${SCHEMA_VERSION})`, {
    details: { found, known: SCHEMA_VERSION },
  });
}
