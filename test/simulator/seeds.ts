// Many stories, and what to do about one that fails.
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Outcome, runStory } from './story.ts';

/** What a story may have in its trace; stories without them would show nothing. */
const HAPPENINGS = {
  bans: / logs: peer banned/g,
  reports: / reports \w+ as invalid/g,
  catchUps: / catches up /g,
  partitions: / partition: /g,
  restarts: / is down/g,
  floods: / floods with /g,
  replays: / plays [1-9]\d* old messages/g,
  ignored: / ignore /g,
  rejected: / reject /g,
} as const;

export type Happenings = { -readonly [K in keyof typeof HAPPENINGS]: number };

export interface Played {
  /** The first story that violated an invariant, which is the last that was played. */
  readonly failure: Outcome | undefined;
  readonly happened: Happenings;
}

/** Ends between two stories once the signal is aborted: two at a time would share one virtual time. */
export async function playSeeds(from: number, to: number, signal: AbortSignal): Promise<Played> {
  const happened = Object.fromEntries(Object.keys(HAPPENINGS).map((key) => [key, 0])) as Happenings;
  for (let seed = from; seed <= to && !signal.aborted; seed += 1) {
    const outcome = await runStory(seed);
    for (const [key, pattern] of Object.entries(HAPPENINGS))
      happened[key as keyof Happenings] += outcome.trace.match(pattern)?.length ?? 0;
    if (outcome.violations.length > 0) return { failure: outcome, happened };
  }
  return { failure: undefined, happened };
}

/** What a test prints of a failure: the violations, where the trace is, and how to play it again. */
export function described({ seed, violations, trace }: Outcome): string {
  const file = join(tmpdir(), `simulator-seed-${seed}.txt`);
  writeFileSync(file, trace);
  const again = `Play it again with: npm run simulate -- ${seed}`;
  return [`seed ${seed}: ${violations.slice(0, 5).join('\n  ')}`, `Trace: ${file}`, again].join('\n');
}
