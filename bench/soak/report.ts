// What a soak found: as a table for people, and the reasons why it failed.
import { shown, signed } from './chart.ts';
import type { Injected } from './faults.ts';
import type { Balance } from './ledger.ts';
import type { Judged } from './samples.ts';

export interface Findings {
  readonly seed: string;
  readonly minutes: number;
  readonly warmUpMinutes: number;
  readonly judged: readonly Judged[];
  readonly faults: readonly Injected[];
  readonly balance: Balance;
  readonly bans: { readonly ordered: number; readonly lifted: number; readonly answeredUnstored: number };
  /** Bans in force and not stored, or stored and lifted. */
  readonly wrongBans: readonly string[];
  /** Bans that no operator ordered; all peers were honest. */
  readonly honestBanned: readonly string[];
  /** Peers that have a score all the same. */
  readonly honestScored: number;
  /** Gauges above their bounds. */
  readonly breaches: readonly string[];
  /** Not empty when all was over. */
  readonly stillQueued: readonly string[];
  /** Messages that the server says it dropped. */
  readonly dropped: number;
  readonly errors: readonly string[];
}

/** Why the soak failed; empty when it did not. */
export function failures(found: Findings): string[] {
  const { balance } = found;
  const lines = (what: string, list: readonly string[]) => list.map((each) => `${what}: ${each}`);
  const counted = (count: number, what: string) => (count > 0 ? [`${count} ${what}`] : []);
  return [
    ...found.judged
      .filter(({ isLeak }) => isLeak)
      .map(({ measure, slope, limit }) => {
        return `${measure.name} grew by at least ${shown(slope.leastGrowth)}, ${shown(limit)} are allowed`;
      }),
    ...counted(balance.lostCount, `accepted and not in Kafka: ${balance.lost.join(' ')}`),
    ...counted(balance.untold, 'in Kafka and never told as an event'),
    ...counted(balance.missingOnWebSocket, 'accepted and not sent over the WebSocket'),
    ...counted(balance.doublesUnexplained, 'records twice in Kafka with no fault of the broker near'),
    ...counted(balance.unheardUnexplained, 'published by a connected peer and not accepted'),
    ...counted(found.dropped, 'dropped from a queue to Kafka'),
    ...(balance.accepted === 0 ? ['nothing was accepted'] : []),
    ...lines('ban', found.wrongBans),
    ...lines('an honest peer was banned', found.honestBanned),
    ...lines('above its bound', found.breaches),
    ...lines('not empty at the end', found.stillQueued),
    ...lines('error', found.errors),
  ];
}

export function table(found: Findings): string {
  const { balance, bans } = found;
  const slopes = found.judged.map(({ measure, slope, limit, isLeak }) => [
    measure.name,
    shown(slope.start),
    `${signed(slope.perHour)} ± ${shown(slope.errorPerHour)}`,
    signed(slope.growth),
    shown(slope.leastGrowth),
    shown(limit),
    isLeak ? 'GROWS' : 'ok',
  ]);
  const kinds = [...new Set(found.faults.map(({ kind }) => kind))].sort();
  const faults = kinds.map((kind) => {
    const all = found.faults.filter((fault) => fault.kind === kind);
    const ms = all.reduce((sum, { fromMs, toMs = fromMs }) => sum + toMs - fromMs, 0);
    return [kind, String(all.length), (ms / 1000).toFixed(0)];
  });
  const messages = [
    ['published', balance.published],
    ['accepted', balance.accepted],
    ['accepted and lost', balance.lostCount],
    ['twice in Kafka near a fault of the broker (at-least-once)', balance.doublesAllowed],
    ['twice in Kafka otherwise', balance.doublesUnexplained],
    ['not accepted while their publisher was cut off', balance.unheard - balance.unheardUnexplained],
    ['not accepted otherwise', balance.unheardUnexplained],
    ['records of the warm-up', balance.otherRecords],
    ['bans ordered', bans.ordered],
    ['of those answered as not stored yet', bans.answeredUnstored],
    ['bans lifted', bans.lifted],
    ['bans wrong in the database at the end', found.wrongBans.length],
    ['honest peers banned', found.honestBanned.length],
    ['honest peers with a score', found.honestScored],
  ].map((row) => row.map(String));
  return [
    `Soak of ${shown(found.minutes)} minutes, seed ${found.seed}; the first ${shown(found.warmUpMinutes)} minutes do not count.`,
    '',
    columns([['', 'start', 'per hour ± error', 'growth', 'at least (99 %)', 'allowed', ''], ...slopes]),
    '',
    columns([['fault', 'times', 'seconds'], ...faults]),
    '',
    columns(messages),
    '',
  ].join('\n');
}

/** The first column to the left, the others to the right. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_each, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
