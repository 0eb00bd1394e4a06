// Traces of blocks and subtrees: what this node did with each, and when. The parts that record spans get `undefined`
// while tracing is off, so that it costs up to three comparisons per message.
import type { Hash } from '../domain/ids.ts';

export type TracedKind = 'block' | 'subtree';

export type SpanName =
  /** From the arrival of an announcement to the decision on it. */
  | 'receive'
  /** The validators' part of it. */
  | 'validate'
  /** From the hand-over to the producer to the broker's acknowledgement. */
  | 'hand to Kafka'
  /** Our own announcement on gossip. */
  | 'announce'
  /** Our node's services found it valid or invalid. */
  | 'report'
  /** Block validation was asked to fetch it from the sync peer. */
  | 'request sync fetch';

export interface TracedSpan {
  readonly kind: TracedKind;
  readonly hash: Hash;
  readonly name: SpanName;
  /** `performance.now()` at its beginning; default: it lasted no time. It ends now. */
  readonly startedMs?: number;
  /** Default false. */
  readonly isFailed?: boolean;
  /** Undefined values are left out. */
  readonly attributes: Readonly<Record<string, string | number | undefined>>;
}

export interface Traces {
  /** Whether spans of this block or subtree are recorded: all nodes with the same rate sample the same ones. */
  takes(kind: TracedKind, hash: Hash): boolean;
  /** Does nothing for a hash that it does not take. Never throws or waits. */
  record(span: TracedSpan): void;
}
