// The points of an offence (spec "Ban Management").
import type { BanReason } from '../../domain/offence.ts';
import { ACCIDENT_SHARE, offenceRow } from '../../domain/offences.ts';

/** Points of each reason; the specification's numbers, and today's Go service's for those about a catch-up. */
export const REASON_POINTS = {
  unknown: 1,
  invalid_subtree: 10,
  protocol_violation: 20,
  spam: 50,
  invalid_block: 10,
  catch_up_failure: 30,
  catch_up_malicious: 50,
} as const satisfies Record<BanReason, number>;

/** The rule of offences noted at a DataHub's host: recorded only, whatever the policy mode. */
export const NOTED_RULE = 'datahub_report';

export interface Charge {
  readonly points: number;
  /** The score is not raised above this. */
  readonly ceiling: number;
}

/** What an offence costs: what its rule's row says, else the points of its reason. */
export function chargeOf(reason: BanReason, rule: string, threshold: number): Charge {
  const row = offenceRow(rule);
  if (row?.reason !== reason) return { points: REASON_POINTS[reason], ceiling: Number.POSITIVE_INFINITY };
  const ceiling = row.canBeAccident ? Math.floor(threshold * ACCIDENT_SHARE) : Number.POSITIVE_INFINITY;
  return { points: row.points ?? REASON_POINTS[reason], ceiling };
}
