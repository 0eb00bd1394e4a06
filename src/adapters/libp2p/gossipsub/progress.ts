// Counts the messages that came in and those whose validation ended: signature, our validator, or known already.
// Verification is the only step that may wait, so a message that never comes out of it is seen here and nowhere else.
import type { Metrics } from '../../../ports/metrics.ts';
import type { Progress } from '../../../ports/progress.ts';
import type { GossipsubParts, Stage } from './parts.ts';

/** Counted by those who take a message and finish with it. */
export interface CountedProgress {
  begun: number;
  ended: number;
}

export class ValidationProgress implements Stage<'incoming'> {
  readonly feature = 'progress';
  private readonly counts: CountedProgress = { begun: 0, ended: 0 };

  constructor(metrics: Metrics) {
    metrics.gauge(
      'teranode_p2p_gossip_under_way',
      'Gossip messages received whose validation has not ended',
      () => this.counts.begun - this.counts.ended,
    );
  }

  get progress(): Progress & CountedProgress {
    return this.counts;
  }

  validateReceivedMessage(next: GossipsubParts['validateReceivedMessage']): GossipsubParts['validateReceivedMessage'] {
    const { counts } = this;
    const end = () => {
      counts.ended += 1;
    };
    return (receivedFrom, message) => {
      counts.begun += 1;
      const result = next(receivedFrom, message);
      result.then(end, end);
      return result;
    };
  }
}
