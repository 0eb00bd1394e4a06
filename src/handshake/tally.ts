// The numbers of the handshake: what came, what went, how it ended, and how full what is bounded is. Labels are closed sets.
import type { Metrics } from '../ports/metrics.ts';
import type { HandshakeMessage } from '../wire/handshake.ts';
import type { HandshakeJudgement } from './answer.ts';

/** `unknown`: it could not be read. */
type MessageType = HandshakeMessage['type'] | 'unknown';
export type HandshakeWay = 'stream' | 'topic';

/** How an inbound stream ended that brought no message. */
export type StreamFailure = 'empty' | 'malformed' | 'too_large' | 'timeout' | 'broken' | 'refused' | 'pushed_out';

/**
 * `held_back`: answered a moment ago, so it waits; `too_many`: no room to remember one more; `suppressed`: the node may not publish there.
 */
export type SendOutcome = 'sent' | 'failed' | 'dropped' | 'held_back' | 'not_connected' | 'too_many' | 'suppressed';

/** `slow_peers`: those that kept us waiting; `prefixes`: what peers said between two networks; `refusals`: peers of other networks. */
type Kept = 'streams' | 'sends' | 'slow_peers' | 'greetings' | 'answers' | 'prefixes' | 'refusals';

export interface Tally {
  received(type: MessageType, way: HandshakeWay, outcome: HandshakeJudgement['outcome'] | StreamFailure): void;
  sent(type: HandshakeMessage['type'], way: HandshakeWay, outcome: SendOutcome): void;
  /** Shows how full something bounded is. */
  bounded(kind: Kept, maxEntries: number, read: () => number): void;
}

export function handshakeTally(metrics: Metrics): Tally {
  const counter = metrics.counter('teranode_p2p_handshakes_total', 'Versions and veracks', [
    'direction',
    'type',
    'way',
    'outcome',
  ]);
  return {
    received: (type, way, outcome) => counter.add(1, { direction: 'in', type, way, outcome }),
    sent: (type, way, outcome) => counter.add(1, { direction: 'out', type, way, outcome }),
    bounded: (kind, maxEntries, read) => {
      metrics.gauge('teranode_p2p_handshake_entries', 'What the handshake keeps', read, { kind });
      metrics.gauge('teranode_p2p_handshake_entries_bound', 'What it keeps at most', () => maxEntries, { kind });
    },
  };
}
