// `teranode-p2p bans`: lists, adds, lifts and explains the bans of a running node over its gRPC.
import type { BanEntry, Explanation, RoleScore } from '../../client/index.ts';
import { P2PError } from '../../lib/errors.ts';
import { parseDuration } from '../../settings/duration.ts';
import type { Action, Output } from './connection.ts';
import { isoTime, table, visible } from './table.ts';

interface BanFlags {
  readonly for?: string | undefined;
  readonly until?: string | undefined;
}

export const listBans: Action = async (client) => {
  const bans = await client.listBans();
  return { people: bans.length === 0 ? 'no bans\n' : banTable(bans), programs: bans.map(shownBan) };
};

/** Throws INPUT_INVALID for a wrong duration or time. */
export const addBan: Action = async (client, subject, flags: BanFlags) => {
  const untilMs = banEnd(flags, Date.now());
  await client.banPeer(subject, untilMs);
  const until = untilMs === undefined ? 'for the default duration of the node' : `until ${isoTime(untilMs)}`;
  return done(`banned ${subject} ${until}`, { ok: true, subject, until: isoTime(untilMs) || undefined });
};

/** Throws INPUT_INVALID when there is no such ban. */
export const removeBan: Action = async (client, subject) => {
  const wasBanned = await client.unbanPeer(subject);
  if (!wasBanned) throw new P2PError('INPUT_INVALID', `nothing to lift: there is no ban of ${visible(subject)} itself`);
  const isCovered = await client.isBanned(subject);
  const hint = isCovered ? '; another ban still covers it, see: bans explain' : '';
  return done(`lifted the ban of ${subject}${hint}`, { ok: true, subject, isBanned: isCovered });
};

export const clearBans: Action = async (client) => {
  await client.clearBanned();
  return done('lifted all bans', { ok: true });
};

export const explainBan: Action = async (client, subject) => {
  const explanation = await client.explain(subject);
  return {
    people: explained(explanation),
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
    if (ms === undefined || ms <= 0)
      throw new P2PError('INPUT_INVALID', '--for takes a duration such as 30m, 24h or 720h');
    return Math.ceil((nowMs + ms) / 1000) * 1000;
  }
  if (flags.until === undefined) return undefined;
  const isComplete = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(flags.until);
  const untilMs = isComplete ? Date.parse(flags.until) : Number.NaN;
  if (untilMs > nowMs) return Math.ceil(untilMs / 1000) * 1000;
  throw new P2PError(
    'INPUT_INVALID',
    '--until takes a time in the future with its time zone, such as 2026-01-01T00:00:00Z',
  );
}

function done(line: string, object: unknown): Output {
  return { people: `${visible(line)}\n`, programs: [object] };
}

function shownBan({ untilMs, createdAtMs, causedBy, ...ban }: BanEntry): unknown {
  return { ...ban, because: causedBy, until: isoTime(untilMs), createdAt: isoTime(createdAtMs) };
}

function banTable(bans: readonly BanEntry[]): string {
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
  );
}

function explained(explanation: Explanation): string {
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
  const heads = ['at', 'role', 'reason', 'points', 'rule', 'topic', 'hash', 'effect'];
  return [
    `${visible(subject)}: ${inForce.length > 0 ? 'banned' : 'not banned'}${explanation.isWhitelisted ? ', whitelisted' : ''}\n`,
    `scores: ${scores(explanation.scores)}; banned at ${threshold}; kept by: ${explanation.scoreKeptBy}\n`,
    `scores in shadow: ${scores(explanation.shadowScores)}\n`,
    section('bans', inForce.length === 0 ? '' : banTable(inForce)),
    section('offences', offences.length === 0 ? '' : table(heads, offenceRows)),
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
