// The branches of a `case` in bash and zsh that follow a command line word by word: `at` is the command so far,
// `value` the option whose value comes next. Words that are neither are arguments.
import { quoted } from './quoted.ts';
import type { CompletedCommand, Value } from './tree.ts';
import { withAllBelow } from './tree.ts';

/** Of `case "$at $word" in`. */
export function walkBranches(program: CompletedCommand, indent: string): string {
  const commands = withAllBelow(program).flatMap(({ path, commands }) =>
    commands.map((each) => branch(keys(path, [each.name, ...each.aliases]), `at=${quoted(each.path)}`)),
  );
  const values = optionValues(program).map(({ path, names }) => branch(keys(path, names), 'value="$at $word"'));
  return [...commands, ...values].map((each) => `${indent}${each}\n`).join('');
}

/** Of `case "$value" in`: what completes the value of each option. */
export function valueBranches(program: CompletedCommand, indent: string, completed: (value: Value) => string): string {
  return optionValues(program)
    .filter(({ value }) => value.kind !== 'text')
    .map(({ path, names, value }) => `${indent}${branch(keys(path, names), completed(value))}\n`)
    .join('');
}

/** Of `case "$at" in`. */
export function pathBranches(
  program: CompletedCommand,
  indent: string,
  completed: (command: CompletedCommand) => string,
): string {
  return withAllBelow(program)
    .map((each) => [each.path, completed(each)] as const)
    .filter(([, code]) => code !== '')
    .map(([path, code]) => `${indent}${branch([path], code)}\n`)
    .join('');
}

interface OptionValue {
  readonly path: string;
  readonly names: readonly string[];
  readonly value: Value;
}

function optionValues(program: CompletedCommand): OptionValue[] {
  return withAllBelow(program).flatMap(({ path, options }) =>
    options.flatMap(({ names, value }) => (value === undefined ? [] : [{ path, names, value }])),
  );
}

function keys(path: string, words: readonly string[]): string[] {
  return words.map((word) => `${path} ${word}`);
}

function branch(patterns: readonly string[], code: string): string {
  return `${patterns.map(quoted).join(' | ')}) ${code} ;;`;
}
