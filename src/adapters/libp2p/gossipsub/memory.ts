// Three maps of gossipsub grow with every message for two minutes (1.2 GB at 3,000 messages per second). They become
// one that is bounded. Our message IDs are the same before and after verification, so one cache serves both look-ups;
// scores are off, so their records are not kept. The back-offs that peers ask for (PRUNE) are bounded in time and
// number. docs/adr/0004.
import type { GossipsubParts, Stage } from './parts.ts';
import type { SeenMessages } from './seen-messages.ts';

/** Sixty times what Go asks for. */
export const MAX_BACKOFF_MS = 3_600_000;
/**
 * Per topic, many times the number of connected peers. Beyond it the oldest is forgotten: that peer is grafted too
 * early at worst.
 */
const MAX_BACKOFFS = 10_000;

/** Both look-ups of known messages ask the same bounded cache. */
export class SeenCaches implements Stage<'incoming'> {
  readonly feature = 'seenMessages';
  private readonly seen: SeenMessages;

  constructor(seen: SeenMessages) {
    this.seen = seen;
  }

  seenCache(): GossipsubParts['seenCache'] {
    return this.seen;
  }

  fastMsgIdCache(): GossipsubParts['fastMsgIdCache'] {
    return {
      get: (id) => (this.seen.has(id) ? id : undefined),
      /** gossipsub puts the same ID into the seen cache right after; false: no collision. */
      put: () => false,
      prune() {},
      clear() {},
      size: 0,
    };
  }
}

/** The methods of the peer score that record a message; with all weights 0 they decide nothing. */
export class NoScoreRecords implements Stage<'incoming'> {
  readonly feature = 'scoreRecords';
  readonly 'score.validateMessage' = () => nothing;
  readonly 'score.deliverMessage' = () => nothing;
  readonly 'score.rejectMessage' = () => nothing;
  readonly 'score.rejectInvalidMessage' = () => nothing;
  readonly 'score.duplicateMessage' = () => nothing;
}

function nothing(): void {}

export class BackoffLimits implements Stage<'incoming'> {
  readonly feature = 'backoffLimits';
  private readonly backoffs: GossipsubParts['backoff'];

  constructor(backoffs: GossipsubParts['backoff']) {
    this.backoffs = backoffs;
  }

  doAddBackoff(next: GossipsubParts['doAddBackoff']): GossipsubParts['doAddBackoff'] {
    return (id, topic, intervalMs) => {
      next(id, topic, Math.min(intervalMs, MAX_BACKOFF_MS));
      const peers = this.backoffs.get(topic);
      if (peers === undefined || peers.size <= MAX_BACKOFFS) return;
      const [first] = peers.keys();
      if (first !== undefined) peers.delete(first);
    };
  }
}
