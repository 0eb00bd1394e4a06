// What an offence costs (spec "Ban Management"), and how a score fades.
import type { BanReason } from '../../ports/ban-store.ts';

export { decayed } from '../../domain/score-decay.ts';

/** Points of each reason; the specification's numbers, catch-up failure as today's Go service counts it. */
export const REASON_POINTS = {
  unknown: 1,
  invalid_subtree: 10,
  protocol_violation: 20,
  spam: 50,
  invalid_block: 10,
  catch_up_failure: 30,
} as const satisfies Record<BanReason, number>;

/** The rule of what is noted at a DataHub's host: recorded only, whatever the policy's mode. */
export const NOTED_RULE = 'datahub_report';
