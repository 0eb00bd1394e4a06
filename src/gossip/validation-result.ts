// The result of validating a gossip message: whether it is forwarded, and whether this node acts on it.
import type { BanReason } from '../domain/offence.ts';
import type { ValidationDecision } from '../ports/p2p-node.ts';

/**
 * Why a message was not processed. A closed set: it labels a metric and names the rule in settings, scores and
 * explanations.
 */
export type SkipReason =
  | 'own_message'
  | 'other_prefix'
  | 'other_wire'
  | 'banned_author'
  | 'author_rate'
  | 'author_bytes'
  | 'author_time'
  | 'relay_rate'
  | 'relay_bytes'
  | 'status_rate'
  | 'size'
  | 'peer_discovery'
  | 'peer_discovery_repeated'
  | 'replay'
  | 'not_json'
  | 'decode'
  | 'hash_form'
  | 'author_mismatch'
  | 'duplicate'
  | 'header_missing'
  | 'header_mismatch'
  | 'proof_of_work'
  | 'height_implausible'
  | 'work_implausible'
  | 'datahub_url'
  | 'low_reputation'
  | 'handler_failed';

export type ValidationResult =
  | { readonly decision: ValidationDecision; readonly process: true }
  | {
      readonly decision: ValidationDecision;
      readonly process: false;
      readonly reason: SkipReason;
      /** The author's offence; undefined when nobody is at fault, or nobody can be proven to be. */
      readonly offence?: BanReason;
    };

/** Forwarded and processed. */
export const ACCEPTED: ValidationResult = { decision: 'accept', process: true };

/** Invalid: neither forwarded nor processed. */
export function rejected(reason: SkipReason, offence?: BanReason): ValidationResult {
  return skipped('reject', reason, offence);
}

/** Neither forwarded nor processed, although the message itself may be valid. */
export function ignored(reason: SkipReason, offence?: BanReason): ValidationResult {
  return skipped('ignore', reason, offence);
}

/** Forwarded, but not processed. */
export function forwardedOnly(reason: SkipReason): ValidationResult {
  return skipped('accept', reason, undefined);
}

function skipped(decision: ValidationDecision, reason: SkipReason, offence: BanReason | undefined): ValidationResult {
  return { decision, process: false, reason, ...(offence === undefined ? {} : { offence }) };
}
