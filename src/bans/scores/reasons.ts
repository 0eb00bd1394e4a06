// The points of an offence (spec "Ban Management").
import type { BanReason } from '../../domain/offence.ts';

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
