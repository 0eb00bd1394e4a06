// What can be completed after each command, read from commander's commands.
import type { Argument, Command, Option } from 'commander';

/** What may follow an option, or stand for an argument. */
export type Value =
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | { readonly kind: 'file' | 'folder' | 'text' };

export interface CompletedOption {
  /** `-V`, `--version`. */
  readonly names: readonly string[];
  readonly summary: string;
  /** undefined: it takes none. */
  readonly value: Value | undefined;
}

export interface CompletedCommand {
  /** Names of the command and of those above it, each with a space before it; empty for the program itself. */
  readonly path: string;
  readonly summary: string;
  /** The last part of the path. */
  readonly name: string;
  /** Recognized, but not offered: `peer` would stop the completion of `peers`. */
  readonly aliases: readonly string[];
  readonly commands: readonly CompletedCommand[];
  /** Its own and those of the commands above it. */
  readonly options: readonly CompletedOption[];
  readonly argument: Value | undefined;
}

const HELP: CompletedOption = { names: ['-h', '--help'], summary: 'display help for command', value: undefined };

export function completedCommand(command: Command, parent?: CompletedCommand): CompletedCommand {
  const own = command.options.map(completedOption);
  const inherited = parent?.options.filter((each) => each !== HELP) ?? [];
  const [argument] = command.registeredArguments;
  const completed = {
    path: parent === undefined ? '' : `${parent.path} ${command.name()}`,
    name: command.name(),
    summary: firstSentence(command.description()),
    aliases: command.aliases(),
    options: [...own, ...inherited, HELP],
    argument: argument && completedValue(argument),
  };
  return {
    ...completed,
    commands: command.commands.map((each) => completedCommand(each, { ...completed, commands: [] })),
  };
}

/** The command and all below it. */
export function withAllBelow(command: CompletedCommand): CompletedCommand[] {
  return [command, ...command.commands.flatMap(withAllBelow)];
}

function completedOption(option: Option): CompletedOption {
  const names = [option.short, option.long].filter((each) => each !== undefined);
  const value = option.required || option.optional ? completedValue(option) : undefined;
  return { names, summary: firstSentence(option.description), value };
}

/** By its allowed values, else by the name in its angle brackets. */
function completedValue(given: Argument | Option): Value {
  if (given.argChoices !== undefined) return { kind: 'choices', choices: given.argChoices };
  const name = 'flags' in given ? (/<(.+)>/.exec(given.flags)?.[1] ?? '') : given.name();
  if (name === 'file') return { kind: 'file' };
  return { kind: name === 'dir' ? 'folder' : 'text' };
}

/** Lists in a terminal have room for one line. */
function firstSentence(text: string): string {
  return text.split(/[.;:](?:\s|$)| \(/, 1)[0] ?? '';
}
