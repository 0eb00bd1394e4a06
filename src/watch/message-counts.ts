// How many gossip messages came, by topic and validation result: those of the last minute, and those since they were
// last taken for the history. Topics and results are closed sets.
import type { ValidationResult } from '../gossip/validation-result.ts';
import type { TopicRate } from '../ports/admin-api.ts';
import type { Clock } from '../ports/clock.ts';
import type { GossipMessage, ValidationDecision } from '../ports/p2p-node.ts';

const SECONDS = 60;
const DECISIONS: readonly ValidationDecision[] = ['accept', 'ignore', 'reject'];
/** Nodes join some ten topics per prefix. */
const MAX_TOPICS = 1000;

/** Messages of a topic with one result: `processed`, or the name of the validator that stopped them. */
export interface MessageCount {
  readonly topic: string;
  readonly result: string;
  readonly count: number;
}

interface Topic {
  /** By second modulo 60, and by decision. */
  readonly counts: Uint32Array;
  readonly secondOf: Float64Array;
  readonly results: Map<string, number>;
}

export class MessageCounts {
  private readonly clock: Pick<Clock, 'monotonic'>;
  private readonly topics = new Map<string, Topic>();

  constructor(deps: { readonly clock: Pick<Clock, 'monotonic'> }) {
    this.clock = deps.clock;
  }

  /** Called for each message. */
  result({ topic: name }: Pick<GossipMessage, 'topic'>, result: ValidationResult): void {
    const topic = this.topics.get(name) ?? this.add(name);
    if (topic === undefined) return;
    const reason = result.process ? 'processed' : result.reason;
    topic.results.set(reason, (topic.results.get(reason) ?? 0) + 1);
    const second = this.second();
    const at = second % SECONDS;
    if (topic.secondOf[at] !== second) {
      topic.secondOf[at] = second;
      topic.counts.fill(0, at * DECISIONS.length, (at + 1) * DECISIONS.length);
    }
    const slot = at * DECISIONS.length + DECISIONS.indexOf(result.decision);
    topic.counts[slot] = (topic.counts[slot] ?? 0) + 1;
  }

  lastMinute(): TopicRate[] {
    const oldest = this.second() - SECONDS;
    return [...this.topics].map(([name, { counts, secondOf }]) => {
      const sums = DECISIONS.map((_decision, nth) =>
        secondOf.reduce(
          (sum, second, at) => (second > oldest ? sum + (counts[at * DECISIONS.length + nth] ?? 0) : sum),
          0,
        ),
      );
      const [accepted = 0, ignored = 0, rejected = 0] = sums;
      return { name, accepted, ignored, rejected };
    });
  }

  /** What came since the last call. */
  take(): MessageCount[] {
    const taken: MessageCount[] = [];
    for (const [topic, { results }] of this.topics) {
      for (const [result, count] of results) taken.push({ topic, result, count });
      results.clear();
    }
    return taken;
  }

  private second(): number {
    return Math.floor(this.clock.monotonic() / 1000);
  }

  private add(name: string): Topic | undefined {
    if (this.topics.size >= MAX_TOPICS) return undefined;
    const topic = {
      counts: new Uint32Array(SECONDS * DECISIONS.length),
      secondOf: new Float64Array(SECONDS).fill(Number.NEGATIVE_INFINITY),
      results: new Map<string, number>(),
    };
    this.topics.set(name, topic);
    return topic;
  }
}
