// What the pipeline decides about a message: whether it travels on, and whether we act on it.
import type { RelayDecision } from '../ports/p2p-node.ts';

/** Why a message was not processed. A closed set: it labels a metric. */
export type SkipReason =
  | 'size'
  | 'own_message'
  | 'peer_discovery'
  | 'peer_discovery_repeated'
  | 'not_json'
  | 'decode'
  | 'hash_form'
  | 'author_mismatch'
  | 'header_missing'
  | 'header_mismatch'
  | 'proof_of_work'
  | 'duplicate'
  | 'handler_failed';

export type Verdict =
  | { readonly relay: RelayDecision; readonly process: true }
  | { readonly relay: RelayDecision; readonly process: false; readonly reason: SkipReason };

export const ACCEPTED: Verdict = { relay: 'accept', process: true };

/** Neither relayed nor processed, and invalid. */
export function rejected(reason: SkipReason): Verdict {
  return { relay: 'reject', process: false, reason };
}

/** Neither relayed nor processed, though nobody did wrong. */
export function ignored(reason: SkipReason): Verdict {
  return { relay: 'ignore', process: false, reason };
}

/** Relayed, and of no concern to us. */
export function relayedOnly(reason: SkipReason): Verdict {
  return { relay: 'accept', process: false, reason };
}
