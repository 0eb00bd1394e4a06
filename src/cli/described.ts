// What the help of every command has beside its options: examples and exit codes. An error in the usage is one line that
// says what is wrong and what is expected.
import type { Command } from 'commander';
import { visible } from './commands/table.ts';

/** Of a command that ends: what its exit code means. */
export interface ExitCodes {
  readonly 0: string;
  readonly 1: string;
  readonly 2: string;
}

export interface Description {
  /** Without the name of the program, except where something stands before it. */
  readonly examples: readonly string[];
  readonly exitCodes: ExitCodes;
}

export const EXIT_CODES: ExitCodes = {
  0: 'done',
  1: 'failed; standard error says why',
  2: 'wrong usage, input or settings; nothing was done',
};

const descriptions = new WeakMap<Command, Description>();

/**
 * Adds examples and exit codes to the help, and the usage to errors; for a command whose arguments are complete.
 * `exitCodes`: those whose meaning differs from `EXIT_CODES`.
 */
export function described(command: Command, examples: readonly string[], exitCodes: Partial<ExitCodes> = {}): Command {
  const description = { examples: examples.map(asTyped), exitCodes: { ...EXIT_CODES, ...exitCodes } };
  descriptions.set(command, description);
  const usage = command.createHelp().commandUsage(command);
  return command.addHelpText('after', `\n${helpText(description)}`).configureOutput({
    outputError: (text, write) => write(`${usageError(text, usage)}\n`),
  });
}

/** undefined for commander's own command `help`. */
export function descriptionOf(command: Command): Description | undefined {
  return descriptions.get(command);
}

function asTyped(example: string): string {
  return /(?:^| |\()teranode-p2p /.test(example) ? example : `teranode-p2p ${example}`;
}

function helpText({ examples, exitCodes }: Description): string {
  const codes = Object.entries(exitCodes).map(([code, meaning]) => `  ${code}  ${meaning}\n`);
  return `Examples:\n${examples.map((each) => `  ${each}\n`).join('')}\nExit codes:\n${codes.join('')}`;
}

/** commander's text, which has its suggestion on a second line, with the usage. */
function usageError(text: string, usage: string): string {
  const line = text
    .trim()
    .replace(/\n\(Did you mean (.*)\?\)$/, ' (did you mean $1?)')
    .replace(/\.$/, '');
  return `${visible(line)}; usage: ${usage} (see --help)`;
}
