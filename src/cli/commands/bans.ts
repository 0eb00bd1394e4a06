// `teranode-p2p bans`: lists, adds, lifts and explains the bans of a running node over its gRPC.
import type { BanEntry, Explanation, RoleScore } from '../../client/index.ts';
import { MAX_BAN_MS } from '../../domain/ban.ts';
import { P2PError } from '../../lib/errors.ts';
import { parseDuration } from '../../settings/duration.ts';
import { type Terminal, terminalOf } from '../terminal.ts';
import type { Action, Output } from './connection.ts';
import { isoTime, table, visible } from './table.ts';

interface BanFlags {
  readonly for?: string | undefined;
  readonly until?: string | undefined;
  readonly reason?: string | undefined;
}

interface ClearFlags {
  readonly yes?: boolean | undefined;
}

export const listBans: Action = async (client, _argument, _flags, io) => {
  const bans = await client.listBans();
  return { people: bans.length === 0 ? 'no bans\n' : banTable(bans, terminalOf(io)), programs: bans.map(shownBan) };
};

/** Throws INPUT_INVALID for a wrong duration or time. */
export const addBan: Action = async (client, subject, flags: BanFlags) => {
  const untilMs = banEnd(flags, Date.now());
  const { isStored } = await client.banPeer(subject, untilMs, flags.reason);
  const until = untilMs === undefined ? 'for the default duration of the node' : `until ${isoTime(untilMs)}`;
  const object = { ok: true, subject, until: isoTime(untilMs) || undefined, isStored };
  return done(`banned ${subject} ${until}${unstored(isStored)}`, object);
};

/** Throws NOT_DONE when there is no such ban. */
export const removeBan: Action = async (client, subject) => {
  const { hadAny, coveredBy, isStored } = await client.unbanPeer(subject);
  const cover = coveredBy === undefined ? '' : `; the ban of ${coveredBy} still covers it`;
  if (!hadAny) {
    const nothing = `nothing to lift: there is no ban of ${subject} itself${cover}`;
    throw new P2PError('NOT_DONE', visible(nothing));
  }
  const object = { ok: true, subject, isBanned: coveredBy !== undefined, coveredBy, isStored };
  return done(`lifted the ban of ${subject}${cover}${unstored(isStored)}`, object);
};

export const clearBans: Action = async (client, _argument, flags: ClearFlags) => {
  const onYes = async () => {
    const { isStored } = await client.clearBanned();
    return done(`lifted all bans${unstored(isStored)}`, { ok: true, isStored });
  };
  if (flags.yes === true) return await onYes();
  const count = (await client.listBanned()).length;
  return { question: count === 1 ? 'Lift the only ban?' : `Lift all ${count} bans?`, onYes };
};

export const explainBan: Action = async (client, subject, _flags, io) => {
  const explanation = await client.explain(subject);
  return {
    people: explained(explanation, terminalOf(io)),
    programs: [{ ...explanation, inForce: explanation.inForce.map(shownBan) }],
  };
};

/**
 * Unix ms, rounded up to whole seconds as a node stores it; undefined: the node's default duration. Throws
 * INPUT_INVALID.
 */
function banEnd(flags: BanFlags, nowMs: number): number | undefined {
  if (flags.for !== undefined && flags.until !== undefined) {
    throw new P2PError('INPUT_INVALID', 'give --for or --until, not both');
  }
  if (flags.for !== undefined) {
    const ms = parseDuration(flags.for);
    if (ms === undefined || ms <= 0 || ms > MAX_BAN_MS)
      throw new P2PError('INPUT_INVALID', '--for takes a duration such as 30m, 24h or 720h, at most ten years');
    return Math.ceil((nowMs + ms) / 1000) * 1000;
  }
  if (flags.until === undefined) return undefined;
  const isComplete = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(flags.until);
  const untilMs = isComplete ? Date.parse(flags.until) : Number.NaN;
  if (untilMs > nowMs && untilMs <= nowMs + MAX_BAN_MS) return Math.ceil(untilMs / 1000) * 1000;
  throw new P2PError(
    'INPUT_INVALID',
    '--until takes a time in the future with its time zone, such as 2030-01-01T00:00:00Z, at most ten years ahead',
  );
}

function unstored(isStored: boolean): string {
  return isStored ? '' : '; not stored yet: the ban store is unavailable, and a restart of the node would undo it';
}

function done(line: string, object: unknown): Output {
  return { people: `${visible(line)}\n`, programs: [object] };
}

function shownBan({ untilMs, createdAtMs, causedBy, ...ban }: BanEntry): unknown {
  return { ...ban, because: causedBy, until: isoTime(untilMs), createdAt: isoTime(createdAtMs) };
}

function banTable(bans: readonly BanEntry[], terminal: Terminal): string {
  return table(
    ['key', 'kind', 'until', 'source', 'reason', 'evidence', 'because'],
    bans.map((ban) => [
      ban.key,
      ban.kind,
      isoTime(ban.untilMs),
      ban.source,
      ban.reason,
      ban.evidence,
      ban.causedBy ?? '',
    ]),
    terminal,
  );
}

function explained(explanation: Explanation, terminal: Terminal): string {
  const { subject, threshold, offences, inForce, withheld, addressesSeen } = explanation;
  const section = (title: string, body: string) => (body === '' ? `${title}: none\n` : `${title}:\n${body}`);
  const lines = (texts: readonly string[]) => texts.map((text) => `  ${visible(text)}\n`).join('');
  const offenceRows = offences.map((each) => [
    isoTime(each.atMs),
    each.role,
    each.reason,
    String(each.points),
    each.rule,
    each.topic,
    each.hash ?? '',
    each.isShadow ? 'recorded only' : 'counted',
  ]);
  const heads = ['at', 'role', 'reason', { head: 'points', isNumber: true }, 'rule', 'topic', 'hash', 'effect'];
  const isBanned = inForce.length > 0;
  const state = isBanned ? terminal.color('red', 'banned') : 'not banned';
  return [
    `${visible(subject)}: ${state}${explanation.isWhitelisted ? ', whitelisted' : ''}\n`,
    `scores: ${scores(explanation.scores)}; banned at ${threshold}; kept by: ${explanation.scoreKeptBy}\n`,
    `scores in shadow: ${scores(explanation.shadowScores)}\n`,
    section('bans', !isBanned ? '' : banTable(inForce, terminal)),
    section('offences', offences.length === 0 ? '' : table(heads, offenceRows, terminal)),
    section('rules (docs/scoring.md)', lines(explanation.rules.map(cited))),
    section('withheld', lines(withheld)),
    section('addresses seen', lines(addressesSeen)),
  ].join('');
}

function cited({ rule, points, canBeAccident, when, why }: Explanation['rules'][number]): string {
  const cost = points === undefined ? 'points of the reason' : `${points} points`;
  return `${rule}: ${cost}${canBeAccident ? ', may be an accident' : ''}. ${when} ${why}`;
}

function scores(all: readonly RoleScore[]): string {
  return all.map(({ role, score }) => `${score} as ${role}`).join(', ') || 'none';
}
