// Metrics of the handshake: messages received and sent, their outcomes, and the size of everything bounded. Labels are
// closed sets.
import { gaugeWithBound, type Metrics } from '../ports/metrics.ts';
import type { HandshakeMessage } from '../wire/handshake.ts';
import type { HandshakeJudgement } from './answer.ts';

/** `unknown`: the message could not be decoded. */
type MessageType = HandshakeMessage['type'] | 'unknown';
export type HandshakeWay = 'stream' | 'topic';

/** How an inbound stream without a message ended. */
export type StreamFailure = 'empty' | 'malformed' | 'too_large' | 'timeout' | 'broken' | 'refused' | 'pushed_out';

/**
 * `held_back`: the peer was answered a moment ago, so this answer waits; `too_many`: the table is full; `suppressed`:
 * the node may not publish on the topic.
 */
export type SendOutcome = 'sent' | 'failed' | 'dropped' | 'held_back' | 'not_connected' | 'too_many' | 'suppressed';

/**
 * `slow_peers`: peers whose last stream was slow; `prefixes`: topic prefixes that peers use; `refusals`: peers of other
 * networks.
 */
type Kept = 'streams' | 'sends' | 'slow_peers' | 'greetings' | 'answers' | 'prefixes' | 'refusals';

export interface HandshakeCounters {
  received(type: MessageType, way: HandshakeWay, outcome: HandshakeJudgement['outcome'] | StreamFailure): void;
  sent(type: HandshakeMessage['type'], way: HandshakeWay, outcome: SendOutcome): void;
  /** Registers the size of something bounded. */
  bounded(kind: Kept, maxEntries: number, read: () => number): void;
}

export function handshakeCounters(metrics: Metrics): HandshakeCounters {
  const counter = metrics.counter(
    'teranode_p2p_handshakes_total',
    'Versions and veracks received and sent, by outcome',
    ['direction', 'type', 'way', 'outcome'],
  );
  return {
    received: (type, way, outcome) => counter.add(1, { direction: 'in', type, way, outcome }),
    sent: (type, way, outcome) => counter.add(1, { direction: 'out', type, way, outcome }),
    bounded: (kind, maxEntries, read) => {
      const gauge = { name: 'teranode_p2p_handshake_entries', help: 'Entries that the handshake keeps, by kind' };
      gaugeWithBound(metrics, { ...gauge, labels: { kind } }, read, maxEntries);
    },
  };
}
