// Metrics of the sync: how choices of a sync peer went, how they ended, what was triggered, and the present state.
import { type Counter, gaugeWithBound, type Metrics } from '../ports/metrics.ts';
import type { SyncMemory } from './sync-policy.ts';

/**
 * Connected peers whose first choice is remembered: more than are ever connected with default settings. The oldest is
 * forgotten.
 */
export const MAX_CONNECTION_TIMES = 1000;

/** `chosen`: there is a sync peer, and no catch-up from it. */
const STATES = ['none', 'chosen', 'catching_up'] as const;

export interface SyncReads {
  state(): (typeof STATES)[number];
  /** Up to the height of the sync peer; 0 without one. */
  blocksBehind(): number;
  readonly memories: readonly SyncMemory[];
}

export interface SyncCounters {
  /** `chosen`, `awaiting_peers`, or why no peer was chosen. */
  readonly choices: Counter;
  readonly ends: Counter;
  readonly triggers: Counter;
  readonly failedEvaluations: Counter;
}

export function syncMetrics(metrics: Metrics, reads: SyncReads): SyncCounters {
  for (const state of STATES) {
    const help = 'Whether the sync is in this state (1) or not (0)';
    metrics.gauge('teranode_p2p_sync_peer', help, () => Number(reads.state() === state), { state });
  }
  metrics.gauge('teranode_p2p_sync_blocks_behind', 'Blocks up to the height of the sync peer', reads.blocksBehind);
  for (const { kind, size, bound } of reads.memories) {
    const gauge = { name: 'teranode_p2p_sync_entries', help: 'Peers that the sync remembers', labels: { kind } };
    gaugeWithBound(metrics, gauge, size, bound);
  }
  return {
    choices: metrics.counter('teranode_p2p_sync_choices_total', 'Attempts to choose a sync peer, by outcome', [
      'outcome',
    ]),
    ends: metrics.counter('teranode_p2p_sync_ends_total', 'Sync peers given up, by reason', ['reason']),
    triggers: metrics.counter(
      'teranode_p2p_sync_triggers_total',
      'Requests to block validation to fetch from the sync peer, by outcome',
      ['outcome'],
    ),
    failedEvaluations: metrics.counter('teranode_p2p_sync_failed_looks_total', 'Sync evaluations that failed'),
  };
}
