// Takes three maps of gossipsub that grow with every message for two minutes (1.2 GB at 3,000 a second) down to one that is bounded. Our message
// ids are the same before and after verification, so one cache serves both look-ups; scores are off, so their records are not kept.
// docs/adr/0004.
import type { GossipSub } from '@libp2p/gossipsub';
import type { SeenMessages } from './seen-messages.ts';

/** The parts of the class that are replaced; private in its type. */
interface GossipInternals {
  seenCache: unknown;
  fastMsgIdCache: unknown;
  readonly score: Record<string, unknown>;
}

/** Methods of the peer score that record a message and, with all weights 0, decide nothing. */
const SCORE_RECORDS = [
  'validateMessage',
  'deliverMessage',
  'rejectMessage',
  'rejectInvalidMessage',
  'duplicateMessage',
] as const;

/** Call before gossip starts. Throws TypeError when the library no longer has these parts. */
export function boundGossipMemory(pubsub: GossipSub, seen: SeenMessages): void {
  const internals = pubsub as unknown as GossipInternals;
  if (typeof internals.seenCache !== 'object' || typeof internals.fastMsgIdCache !== 'object')
    throw new TypeError('gossipsub has no such caches');
  internals.seenCache = seen;
  internals.fastMsgIdCache = {
    get: (id: string) => (seen.has(id) ? id : undefined),
    /** Written through the other name right after; false: no collision. */
    put: () => false,
    prune: () => {},
    clear: () => {},
    size: 0,
  };
  for (const name of SCORE_RECORDS) {
    if (typeof internals.score[name] !== 'function') throw new TypeError(`gossipsub's score has no ${name}`);
    internals.score[name] = () => {};
  }
}
