// What the pipeline decides about a message: whether it travels on, and whether we act on it.
import type { BanReason } from '../domain/offence.ts';
import type { RelayDecision } from '../ports/p2p-node.ts';

/** Why a message was not processed. A closed set: it labels a metric, and names the rule in settings, scores and explanations. */
export type SkipReason =
  | 'own_message'
  | 'other_prefix'
  | 'banned_author'
  | 'author_rate'
  | 'relay_rate'
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
  | 'handler_failed';

export type Verdict =
  | { readonly relay: RelayDecision; readonly process: true }
  | {
      readonly relay: RelayDecision;
      readonly process: false;
      readonly reason: SkipReason;
      /** What the author is charged with; undefined: nobody did wrong, or nobody can be proven to have. */
      readonly offence?: BanReason;
    };

export const ACCEPTED: Verdict = { relay: 'accept', process: true };

/** Neither relayed nor processed, and invalid. */
export function rejected(reason: SkipReason, offence?: BanReason): Verdict {
  return skipped('reject', reason, offence);
}

/** Neither relayed nor processed, though the message itself may be sound. */
export function ignored(reason: SkipReason, offence?: BanReason): Verdict {
  return skipped('ignore', reason, offence);
}

/** Relayed, and of no concern to us. */
export function relayedOnly(reason: SkipReason): Verdict {
  return skipped('accept', reason, undefined);
}

function skipped(relay: RelayDecision, reason: SkipReason, offence: BanReason | undefined): Verdict {
  return { relay, process: false, reason, ...(offence === undefined ? {} : { offence }) };
}
