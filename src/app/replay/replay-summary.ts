// What a replay found: results of messages, scores, bans and records handed on, and where it differs.
import type { CaptureHead } from '../../capture/records.ts';
import type { Decision } from '../../capture/tap.ts';

/** Where two histories part: what was decided, and what is decided now. */
export interface Difference {
  /** Of the record, from 1. */
  readonly record: number;
  readonly time: string;
  readonly input: string;
  readonly was: readonly Decision[];
  readonly now: readonly Decision[];
}

export interface BanRow {
  readonly key: string;
  readonly source: string;
  readonly reason: string;
  readonly causedBy: string;
  readonly time: string;
}

/** What was decided in one history. */
export interface Outcome {
  /** Messages by topic, decision and reason, separated by spaces. */
  readonly results: Readonly<Record<string, number>>;
  /** The first 1000, in their order. */
  readonly bans: readonly BanRow[];
  readonly banCount: number;
  readonly lifted: number;
  /** Offences that added points or were recorded in shadow mode. */
  readonly offences: number;
  /** Scores above zero at the end. */
  readonly scores: readonly { readonly subject: string; readonly role: string; readonly score: number }[];
  /** Announcements handed to Kafka, by kind. */
  readonly handed: Readonly<Record<string, number>>;
  /** Peers disconnected because of a ban. */
  readonly cut: number;
  /** Rejected transactions of the node's own that were announced. */
  readonly announced: number;
}

export interface Replay {
  readonly files: readonly string[];
  readonly head: CaptureHead;
  readonly records: number;
  readonly inputs: Readonly<Record<string, number>>;
  readonly from: string;
  readonly to: string;
  readonly signatures: { readonly valid: number; readonly invalid: number; readonly unchecked: number };
  /** What is missing in the capture or cannot be replayed, in words. */
  readonly notes: readonly string[];
  /** As decided under the settings of the capture. */
  readonly outcome: Outcome;
  /** The same under the changed settings, if any. */
  readonly changed: Outcome | undefined;
  /** Records on which the decisions differ, and the first of them. */
  readonly differing: number;
  readonly differences: readonly Difference[];
  /** Nothing differs, and every signature that can be checked is valid. */
  readonly isEqual: boolean;
}

const MAX_BANS = 1000;

export class OutcomeCounts {
  private readonly results: Record<string, number> = {};
  private readonly handed: Record<string, number> = { block: 0, subtree: 0 };
  private readonly bans: BanRow[] = [];
  private banCount = 0;
  private lifted = 0;
  private offences = 0;
  private cut = 0;
  private announced = 0;

  add(topic: string, decisions: readonly Decision[], time: () => string): void {
    for (const [kind, ...facts] of decisions) {
      const [first = '', second = '', , fourth = '', fifth = ''] = facts.map(String);
      if (kind === 'result') count(this.results, `${topic} ${first} ${second}`);
      else if (kind === 'handed') count(this.handed, first);
      else if (kind === 'score') this.offences += 1;
      else if (kind === 'unban') this.lifted += 1;
      else if (kind === 'cut') this.cut += 1;
      else if (kind === 'announced') this.announced += 1;
      else if (kind === 'ban') {
        this.banCount += 1;
        if (this.bans.length >= MAX_BANS) continue;
        this.bans.push({ key: first, source: second, causedBy: fourth, reason: fifth, time: time() });
      }
    }
  }

  outcome(scores: Outcome['scores']): Outcome {
    const { results, handed, bans, banCount, lifted, offences, cut, announced } = this;
    const sorted = Object.fromEntries(Object.entries(results).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    const highest = scores.toSorted((a, b) => b.score - a.score);
    return { results: sorted, bans, banCount, lifted, offences, scores: highest, handed, cut, announced };
  }
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (Object.hasOwn(counts, key) ? (counts[key] ?? 0) : 0) + 1;
}
