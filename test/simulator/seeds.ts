// Many stories, and what to do about one that fails.
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Outcome, runStory } from './story.ts';

/** The first story of a range of seeds that violates an invariant; undefined when none does. */
export async function firstFailure(from: number, to: number): Promise<Outcome | undefined> {
  for (let seed = from; seed <= to; seed += 1) {
    const outcome = await runStory(seed);
    if (outcome.violations.length > 0) return outcome;
  }
  return undefined;
}

/** What a test prints of a failure: the violations, where the trace is, and how to play it again. */
export function described({ seed, violations, trace }: Outcome): string {
  const file = join(tmpdir(), `simulator-seed-${seed}.txt`);
  writeFileSync(file, trace);
  const again = `Play it again with: npm run simulate -- ${seed}`;
  return [`seed ${seed}: ${violations.slice(0, 5).join('\n  ')}`, `Trace: ${file}`, again].join('\n');
}
