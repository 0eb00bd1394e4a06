// The result of validating a gossip message: whether it is forwarded, and whether this node acts on it.
import type { GossipRule } from '../domain/offences.ts';
import type { ValidationDecision } from '../ports/p2p-node.ts';

/**
 * Why a message was not processed. A closed set: it labels a metric and names the rule in settings, scores and
 * explanations. Its row in the table says what the author pays.
 */
export type SkipReason = GossipRule;

export type ValidationResult =
  | { readonly decision: ValidationDecision; readonly process: true }
  | {
      readonly decision: ValidationDecision;
      readonly process: false;
      readonly reason: SkipReason;
      /** Nobody pays this time, although the rule has points. */
      readonly isFree?: true;
    };

type Skipped = Extract<ValidationResult, { readonly process: false }>;

/** Forwarded and processed. */
export const ACCEPTED: ValidationResult = { decision: 'accept', process: true };

/** Invalid: neither forwarded nor processed. */
export function rejected(reason: SkipReason): Skipped {
  return { decision: 'reject', process: false, reason };
}

/** Neither forwarded nor processed, although the message itself may be valid. */
export function ignored(reason: SkipReason): Skipped {
  return { decision: 'ignore', process: false, reason };
}

/** Forwarded, but not processed. */
export function forwardedOnly(reason: SkipReason): Skipped {
  return { decision: 'accept', process: false, reason };
}

/** The same, for which nobody pays. */
export function free(result: Skipped): Skipped {
  return { ...result, isFree: true };
}
