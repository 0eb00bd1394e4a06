// Metrics of a listener: of all that the server measures, what was dropped before and by the validators.
import type { Counter, Metrics } from '../ports/metrics.ts';

/** Counters of messages that never reach a validator -> the label that says why. */
const DROPPED_BEFORE: Readonly<Record<string, string>> = {
  teranode_p2p_broken_frames_total: 'kind',
  teranode_p2p_gossip_unverified_total: 'reason',
};

const NOTHING = { add: () => {}, observe: () => {} };

export class DropCounts implements Metrics {
  private readonly counts = new Map<string, number>();

  /** A validator stopped a message. */
  add(reason: string, amount = 1): void {
    if (amount > 0) this.counts.set(reason, (this.counts.get(reason) ?? 0) + amount);
  }

  byReason(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.counts);
  }

  counter(name: string): Counter {
    const label = DROPPED_BEFORE[name];
    if (label === undefined) return NOTHING;
    return { add: (amount = 1, labels = {}) => this.add(labels[label] ?? 'unknown', amount) };
  }

  gauge(): void {}

  gauges(): void {}

  histogram(): typeof NOTHING {
    return NOTHING;
  }
}
