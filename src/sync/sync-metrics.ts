// What operators see of the sync: how choices went, how they ended, what was triggered, and how things stand.
import type { Counter, Metrics } from '../ports/metrics.ts';
import { MAX_MISSED_PEERS } from './sync-misses.ts';

/** Connected peers whose first choice is remembered; more than are ever connected with default settings. The oldest is forgotten. */
export const MAX_CONNECTION_TIMES = 1000;

/** `chosen`: a sync peer that is not catching up. */
const STATES = ['none', 'chosen', 'catching_up'] as const;

export interface SyncReads {
  state(): (typeof STATES)[number];
  /** To the height of the sync peer; 0 without one. */
  blocksBehind(): number;
  failedPeers(): number;
  stalledPeers(): number;
  connectionTimes(): number;
}

export interface SyncCounters {
  /** `chosen`, `awaiting_peers`, or why nobody was. */
  readonly choices: Counter;
  readonly ends: Counter;
  readonly triggers: Counter;
  readonly failedLooks: Counter;
}

export function syncMetrics(metrics: Metrics, reads: SyncReads): SyncCounters {
  for (const state of STATES) {
    metrics.gauge('teranode_p2p_sync_peer', '1 for the state of the sync', () => Number(reads.state() === state), {
      state,
    });
  }
  metrics.gauge('teranode_p2p_sync_blocks_behind', 'Blocks to the height of the sync peer', reads.blocksBehind);
  const kept = [
    ['failed_peers', reads.failedPeers, MAX_MISSED_PEERS],
    ['stalled_peers', reads.stalledPeers, MAX_MISSED_PEERS],
    ['connection_times', reads.connectionTimes, MAX_CONNECTION_TIMES],
  ] as const;
  for (const [kind, size, bound] of kept) {
    metrics.gauge('teranode_p2p_sync_entries', 'Peers that the sync remembers', size, { kind });
    metrics.gauge('teranode_p2p_sync_entries_bound', 'Peers that the sync remembers at most', () => bound, { kind });
  }
  return {
    choices: metrics.counter('teranode_p2p_sync_choices_total', 'Looks for a sync peer', ['outcome']),
    ends: metrics.counter('teranode_p2p_sync_ends_total', 'Sync peers given up', ['reason']),
    triggers: metrics.counter('teranode_p2p_sync_triggers_total', 'Block messages to fetch from', ['outcome']),
    failedLooks: metrics.counter('teranode_p2p_sync_failed_looks_total', 'Looks that failed'),
  };
}
