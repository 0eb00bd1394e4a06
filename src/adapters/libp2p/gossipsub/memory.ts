// Takes three maps of gossipsub that grow with every message for two minutes (1.2 GB at 3,000 a second) down to one that is bounded. Our message
// ids are the same before and after verification, so one cache serves both look-ups; scores are off, so their records are not kept. And who
// must not be asked into a mesh for how long, which neighbours say of themselves, is bounded in time and number. docs/adr/0004.
import type { GossipSub } from '@libp2p/gossipsub';
import type { SeenMessages } from './seen-messages.ts';

/** The parts of the class that are replaced; private in its type. */
interface GossipInternals {
  seenCache: unknown;
  fastMsgIdCache: unknown;
  readonly score: Record<string, unknown>;
  /** Topic, peer: until when. */
  readonly backoff: ReadonlyMap<string, Map<string, number>>;
  doAddBackoff(id: string, topic: string, intervalMs: number): void;
}

/** Sixty times what Go asks for. */
const MAX_BACKOFF_MS = 3_600_000;
/** Of a topic, many times the peers that are connected; the one noted first leaves, and is asked too early at worst. */
const MAX_BACKOFFS = 10_000;

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
  if (typeof internals.doAddBackoff !== 'function') throw new TypeError('gossipsub keeps no back-off');
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
  boundBackoff(internals);
}

function boundBackoff(internals: GossipInternals): void {
  const add = internals.doAddBackoff.bind(internals);
  internals.doAddBackoff = (id, topic, intervalMs) => {
    add(id, topic, Math.min(intervalMs, MAX_BACKOFF_MS));
    const peers = internals.backoff.get(topic);
    if (peers === undefined || peers.size <= MAX_BACKOFFS) return;
    const [first] = peers.keys();
    if (first !== undefined) peers.delete(first);
  };
}
