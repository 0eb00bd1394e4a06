// The counter of everything that this node announces; each announcer adds its kind.
import type { Counter, Metrics } from '../ports/metrics.ts';

/** Labels: `kind` and `outcome`. */
export function announcementsCounter(metrics: Metrics): Counter {
  const help = 'Announcements by this node, by kind and outcome';
  return metrics.counter('teranode_p2p_announcements_total', help, ['kind', 'outcome']);
}
