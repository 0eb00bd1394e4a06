// Why each peer was chosen or passed over in one choice of the sync peer: counted by reason, and listed for a bounded
// number of peers, those first that came nearest to being chosen.
import type { PeerId } from '../domain/ids.ts';
import {
  type ConsideredPeer,
  CRITERIA,
  type Criterion,
  MAX_CONSIDERED,
  type PassedOver,
} from '../ports/sync-status.ts';
import type { Fitness } from './evaluation.ts';

/** A considered peer without what depends on wall-clock time and words. */
export interface WeighedPeer extends Omit<ConsideredPeer, 'explanation' | 'coolDownUntilMs'> {
  /** How long its cool-down lasts. */
  readonly coolDownMs: number | undefined;
}

export interface Weighed {
  readonly known: number;
  readonly usable: number;
  readonly decidedBy: Criterion | 'only_one' | undefined;
  readonly passedOver: readonly { readonly why: PassedOver; readonly peers: number }[];
  readonly considered: readonly WeighedPeer[];
}

export interface Judged<Row> {
  readonly row: Row;
  readonly fitness: Fitness;
}

export interface WeighingRules<Row> {
  readonly winner: PeerId | undefined;
  /** The first criterion by which a usable peer lost. */
  whyLost(row: Row): Criterion;
  factsOf(row: Row): Omit<WeighedPeer, 'peerId' | 'isChosen' | 'why'>;
}

/** From the peer that came nearest to the one that is of least interest. */
const NEAREST_FIRST: readonly PassedOver[] = [
  ...CRITERIA.toReversed(),
  ...(['cooling_down', 'datahub_unhealthy', 'no_datahub', 'low_reputation'] as const),
  ...(['banned', 'no_best_hash', 'not_ahead', 'not_connected'] as const),
];

export function weigh<Row extends { readonly peerId: PeerId }>(
  judged: readonly Judged<Row>[],
  rules: WeighingRules<Row>,
): Weighed {
  const { winner } = rules;
  const groups = new Map<PassedOver, { peers: number; readonly rows: Row[] }>();
  let chosen: Row | undefined;
  let usable = 0;
  for (const { row, fitness } of judged) {
    if (fitness.isFit) usable += 1;
    if (row.peerId === winner) {
      chosen = row;
      continue;
    }
    const why = fitness.isFit ? rules.whyLost(row) : fitness.why;
    const group = groups.get(why) ?? { peers: 0, rows: [] };
    groups.set(why, group);
    group.peers += 1;
    if (group.rows.length < MAX_CONSIDERED) group.rows.push(row);
  }
  const reasons = NEAREST_FIRST.filter((why) => groups.has(why));
  const lost = reasons.flatMap((why) => (groups.get(why)?.rows ?? []).map((row) => ({ row, why })));
  const others = lost.slice(0, MAX_CONSIDERED - (chosen === undefined ? 0 : 1));
  return {
    known: judged.length,
    usable,
    decidedBy: chosen && (CRITERIA.findLast((each) => groups.has(each)) ?? 'only_one'),
    passedOver: reasons.map((why) => ({ why, peers: groups.get(why)?.peers ?? 0 })),
    considered: [
      ...(chosen === undefined ? [] : [{ ...idOf(chosen), isChosen: true, why: undefined, ...rules.factsOf(chosen) }]),
      ...others.map(({ row, why }) => ({ ...idOf(row), isChosen: false, why, ...rules.factsOf(row) })),
    ],
  };
}

function idOf({ peerId }: { readonly peerId: PeerId }): { readonly peerId: PeerId } {
  return { peerId };
}
