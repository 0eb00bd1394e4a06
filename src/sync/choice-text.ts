// The choice of the sync peer in plain sentences, for operators.
import type { Criterion, PassedOver, SyncEndReason, SyncOutcome } from '../ports/sync-status.ts';
import type { Weighed, WeighedPeer } from './weighed.ts';

/** What is said of the chosen peer when this criterion decided. */
const WON: Readonly<Record<Criterion | 'only_one', string>> = {
  only_one: 'it is the only peer that can be used',
  forced: 'p2p_force_sync_peer names it',
  previous_attempt_failed: 'the last attempt with the other peer failed',
  proven_height: 'this node has validated blocks of it, and only claims of the others',
  probe_limit: 'it has delivered blocks, and no further unproven claim may be tried now',
  storage: 'it keeps all blocks',
  delivered_lately: 'it has delivered a valid block lately',
  validated_work: 'it has the most work that this node has validated',
  failed_attempts: 'it has the fewest failed attempts',
  connection: 'it is connected',
  previous_sync_peer: 'the other peer was the sync peer just before',
  reputation: 'it has the best reputation',
  response_time: 'it answers fastest',
  ban_score: 'it has the lowest ban score',
  height: 'it claims the highest block',
  datahub_checked: 'its DataHub is known to answer',
  kept: 'it was the sync peer before and has not failed',
  first_deliveries: 'it delivers new blocks and subtrees first most often',
  random: 'it was drawn at random from equally good peers',
};

/** What is said of a peer that was passed over. */
const LOST: Readonly<Record<PassedOver, string>> = {
  not_connected: 'not connected',
  banned: 'banned',
  no_best_hash: 'has announced no best block',
  not_ahead: 'not ahead of this node',
  low_reputation: 'low reputation',
  cooling_down: 'cooling down',
  no_datahub: 'no usable DataHub',
  datahub_unhealthy: 'its DataHub does not answer',
  forced: 'another peer is forced',
  previous_attempt_failed: 'the attempt just before failed',
  proven_height: 'its height is not proven',
  probe_limit: 'its height is not proven, and enough such peers were tried',
  storage: 'does not keep all blocks, or is not proven to',
  delivered_lately: 'has delivered no valid block lately',
  validated_work: 'less validated work',
  failed_attempts: 'more failed attempts',
  connection: 'not connected, and its height is not proven',
  previous_sync_peer: 'was the sync peer just before',
  reputation: 'lower reputation',
  response_time: 'answers more slowly',
  ban_score: 'higher ban score',
  height: 'claims a lower block',
  datahub_checked: 'its DataHub is not checked yet',
  kept: 'as good as the sync peer before, which was kept',
  first_deliveries: 'delivers first less often',
  random: 'equally good, but not drawn',
};

const NOBODY: Readonly<Record<Exclude<SyncOutcome, 'chosen'>, string>> = {
  idle: 'The FSM is in a state in which this node syncs from nobody.',
  awaiting_peers: 'Waiting for more peers before one is chosen (p2p_min_peers_for_sync, p2p_max_wait_for_min_peers).',
  no_peers: 'No peer has announced its best block yet, or those that did are banned.',
  level: 'No sync peer is needed: no known peer is ahead of this node.',
  none_usable: 'Peers are ahead of this node, but none of them can be used now.',
  forced_absent: 'The peer of p2p_force_sync_peer is not there.',
  forced_unusable: 'The peer of p2p_force_sync_peer cannot be used now.',
  awaiting_check: 'Waiting for the check of the best peer’s DataHub.',
  backing_off: 'No peer could be used a moment ago: waiting before the next try.',
};

const ENDS: Readonly<Record<SyncEndReason, string>> = {
  level: 'this node has caught up with it',
  left: 'it disconnected, or was not heard any more',
  banned: 'it was banned',
  unusable: 'it could not be used any more',
  failed: 'the catch-up from it failed',
  short: 'the catch-up from it ended below the requested block',
  inactive: 'it fell silent',
  stalled: 'there was no progress',
  low_reputation: 'its reputation became too low',
  better_peer: 'another peer has more validated work',
  idle: 'the FSM went to a state in which nothing is synced',
};

/** Reasons of which a peer that is level with the network has most: not worth a sentence of their own. */
const USUAL: ReadonlySet<PassedOver> = new Set(['not_ahead']);

export function choiceText(outcome: SyncOutcome, weighed: Weighed | undefined): string {
  if (weighed === undefined) return outcome === 'chosen' ? '' : NOBODY[outcome];
  const { known, usable, decidedBy } = weighed;
  if (outcome !== 'chosen')
    return outcome === 'none_usable' ? `${NOBODY.none_usable} ${passedText(weighed)}`.trimEnd() : NOBODY[outcome];
  const because = WON[decidedBy ?? 'only_one'];
  const count = decidedBy === 'only_one' || decidedBy === 'forced' ? '' : `Of ${usable} usable peers, `;
  const sentence = count === '' ? `Chosen because ${because}` : `${count}it was chosen because ${because}`;
  // How usable ones compare is in the list of peers.
  const passed = passedText({ passedOver: weighed.passedOver.filter(({ why }) => !(why in WON)) });
  return `${sentence} (${known} known). ${passed}`.trimEnd();
}

function passedText({ passedOver }: Pick<Weighed, 'passedOver'>): string {
  const parts = passedOver.filter(({ why }) => !USUAL.has(why)).map(({ why, peers }) => `${peers} × ${LOST[why]}`);
  return parts.length === 0 ? '' : `Not usable: ${parts.join(', ')}.`;
}

export function consideredText({ why, failedAttempts }: Pick<WeighedPeer, 'why' | 'failedAttempts'>): string {
  if (why === undefined) return 'chosen';
  if (why !== 'cooling_down' || failedAttempts === 0) return LOST[why];
  return `${LOST.cooling_down} after ${failedAttempts === 1 ? 'a failed attempt' : `${failedAttempts} failed attempts`}`;
}

export function endText(reason: SyncEndReason): string {
  return ENDS[reason];
}
