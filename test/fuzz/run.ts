// npm run fuzz -- [--target name]… [--inputs N | --minutes M] [--seed S]: fuzzes every target, guided by coverage, keeps
// what ran new code in test/fuzz/corpus, prints a table and writes .cache/fuzz.json. Exit code 1 after a fault, whose
// input is then in test/fuzz/found.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { REPO } from '../support/repo.ts';
import { CORPUS, FOUND, keepFound, keepInputs, readInputs } from './engine/corpus.ts';
import { Coverage } from './engine/coverage.ts';
import type { FuzzFault } from './engine/fuzzer.ts';
import type { FuzzTarget } from './engine/target.ts';

const DEFAULT_INPUTS = '100000';
const COLUMNS = ['target', 'inputs', 'seconds', 'inputs/s', 'branches', 'kept', 'result'] as const;

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true, default: [] },
    inputs: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    /** Readers with known faults instead; nothing is kept. For the test of the fuzzer itself. */
    planted: { type: 'boolean', default: false },
  },
});

const { planted } = values;
const folders = ['../../src/', ...(planted ? ['./planted/'] : [])];
const coverage = new Coverage(folders.map((each) => new URL(each, import.meta.url).href));
const { fuzz } = await import('./engine/fuzzer.ts');
const TARGETS: readonly FuzzTarget[] = planted
  ? (await import('./planted/targets.ts')).PLANTED
  : (await import('./targets/index.ts')).TARGETS;

const wanted = TARGETS.filter(({ name }) => values.target.length === 0 || values.target.includes(name));
if (wanted.length === 0) throw new Error(`no such target (expected ${TARGETS.map(({ name }) => name).join(', ')})`);
const seed = Number(values.seed);
// With --minutes each target has an equal part of the time.
const time = values.minutes === undefined ? {} : { maxMs: (Number(values.minutes) * 60_000) / wanted.length };
const inputs = Number(values.inputs ?? (values.minutes === undefined ? DEFAULT_INPUTS : Number.MAX_SAFE_INTEGER));

type Row = Readonly<Record<(typeof COLUMNS)[number], string | number>>;
const rows: Row[] = [];
let faults = 0;

function line(cells: readonly (string | number)[]): void {
  const [name = '', ...rest] = cells.map(String);
  process.stdout.write(
    `${name.padEnd(28)}${rest.map((each, i) => (i === 5 ? `  ${each}` : each.padStart(11))).join('')}\n`,
  );
}

function resultOf(name: string, fault: FuzzFault | undefined): string {
  if (fault === undefined) return 'ok';
  return planted ? 'FAULT' : `FAULT, input in ${keepFound(name, fault.input)}`;
}

process.stdout.write(`seed ${seed}\n`);
line(COLUMNS);
for (const target of wanted) {
  const corpus = [...readInputs(FOUND, target.name), ...readInputs(CORPUS, target.name)];
  const result = await fuzz(target, { inputs, ...time, seed, corpus, coverage });
  const branches = coverage.count;
  const { fault } = result;
  if (fault !== undefined) faults += 1;
  const row: Row = {
    target: target.name,
    inputs: result.inputs,
    seconds: Number(result.seconds.toFixed(1)),
    'inputs/s': Math.round(result.inputs / result.seconds),
    branches,
    kept: planted ? 0 : keepInputs(target.name, result.fresh),
    result: resultOf(target.name, fault),
  };
  rows.push(row);
  line(COLUMNS.map((column) => row[column]));
  if (fault !== undefined) process.stdout.write(`${fault.error.stack ?? fault.error.message}\n`);
}
if (!planted) mkdirSync(join(REPO, '.cache'), { recursive: true });
if (!planted)
  writeFileSync(join(REPO, '.cache/fuzz.json'), `${JSON.stringify({ seed, faults, targets: rows }, undefined, 2)}\n`);
process.exit(faults > 0 ? 1 : 0);
