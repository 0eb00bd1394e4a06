// Asks before something that cannot be undone.
import { createInterface } from 'node:readline/promises';
import { P2PError } from '../../lib/errors.ts';
import type { CommandIo } from './io.ts';

/** Nobody answers a question for ever. */
const ANSWER_DEADLINE_MS = 120_000;

/** Resolves when the answer is yes. Throws NOT_DONE when it is not, INPUT_INVALID where nobody can answer. */
export async function confirmed(question: string, { stdin, stderr }: CommandIo): Promise<void> {
  if (stdin?.isTTY !== true)
    throw new P2PError(
      'INPUT_INVALID',
      `not confirmed: ${question} (standard input is not a terminal; expected --yes)`,
    );
  // On standard error, so that standard output has the result alone.
  const asked = createInterface({ input: stdin, output: stderr });
  try {
    const answer = await asked.question(`${question} [y/N] `, { signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) });
    if (/^y(?:es)?$/i.test(answer.trim())) return;
  } catch {
    // No answer in time.
  } finally {
    asked.close();
  }
  throw new P2PError('NOT_DONE', 'not confirmed: nothing was changed');
}
