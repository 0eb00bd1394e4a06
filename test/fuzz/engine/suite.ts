// The part of fuzzing that every run of the tests does: kept inputs again, and many new ones from a fixed seed.
import { test } from 'vitest';
import { CORPUS, FOUND, keepFound, readInputs } from './corpus.ts';
import { fuzz } from './fuzzer.ts';
import type { FuzzTarget } from './target.ts';

const INPUTS = 100_000;
const SEED = 1;
/** Ten seconds of CPU time at most; on a machine that does much else as well it takes minutes. */
const TIMEOUT_MS = 600_000;

export function fuzzSuite(targets: readonly FuzzTarget[]): void {
  const inputsOf = (target: FuzzTarget) =>
    Math.ceil('run' in target ? INPUTS : (INPUTS * target.inputsPerHundred) / 100).toLocaleString('en');
  const named = targets.map((target) => [target.name, inputsOf(target), target] as const);
  test.each(named)(
    '%s takes its kept inputs and %s new ones',
    { timeout: TIMEOUT_MS },
    async (name, _inputs, target) => {
      const corpus = [...readInputs(FOUND, name), ...readInputs(CORPUS, name)];
      const { fault } = await fuzz(target, { inputs: INPUTS, seed: SEED, corpus });
      if (fault === undefined) return;
      throw new Error(`${fault.error.message}; the input is now in ${keepFound(name, fault.input)}`, {
        cause: fault.error,
      });
    },
  );
}
