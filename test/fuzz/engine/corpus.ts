// Inputs that are kept: one file per target with an input per line, as a JSON text whose characters are bytes.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPO } from '../../support/repo.ts';

/** Inputs that ran code which no other had run. */
export const CORPUS = join(REPO, 'test/fuzz/corpus');
/** Inputs that a target once failed on: they stay. */
export const FOUND = join(REPO, 'test/fuzz/found');
const MAX_INPUT_BYTES = 2048;
/** Of a target; all of them stay below 2 MB. */
const MAX_FILE_BYTES = 24 * 1024;

export function readInputs(folder: string, target: string): Uint8Array[] {
  const file = fileOf(folder, target);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => Buffer.from(JSON.parse(line) as string, 'latin1'));
}

/** Adds inputs that are not kept yet, the shortest first, as long as there is room. Returns how many. */
export function keepInputs(target: string, inputs: readonly Uint8Array[]): number {
  const known = new Set(readInputs(CORPUS, target).map(lineOf));
  const before = known.size;
  let bytes = [...known].reduce((sum, line) => sum + Buffer.byteLength(line), 0);
  for (const input of inputs.toSorted((a, b) => a.length - b.length)) {
    const line = lineOf(input);
    if (known.has(line) || input.length > MAX_INPUT_BYTES) continue;
    bytes += Buffer.byteLength(line);
    if (bytes > MAX_FILE_BYTES) break;
    known.add(line);
  }
  if (known.size > before) write(CORPUS, target, known);
  return known.size - before;
}

/** Where the input was put. */
export function keepFound(target: string, input: Uint8Array): string {
  write(FOUND, target, new Set([...readInputs(FOUND, target).map(lineOf), lineOf(input)]));
  return fileOf(FOUND, target);
}

function write(folder: string, target: string, lines: ReadonlySet<string>): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(fileOf(folder, target), [...lines].join(''));
}

function lineOf(input: Uint8Array): string {
  return `${JSON.stringify(Buffer.from(input).toString('latin1'))}\n`;
}

function fileOf(folder: string, target: string): string {
  return join(folder, `${target}.jsonl`);
}
