// The completion script for fish: it declares each command and option with the place where it may stand.
import { fishQuoted as quoted } from './quoted.ts';
import type { CompletedCommand, CompletedOption, Value } from './tree.ts';
import { withAllBelow } from './tree.ts';

export function fishScript(program: CompletedCommand): string {
  const { name } = program;
  const all = withAllBelow(program);
  return `# Completes ${name} in fish: ${name} completion fish > ~/.config/fish/completions/${name}.fish

# Whether the words before the cursor lead to this command.
function __teranode_p2p_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l path ''
    set -l value ''
    for word in $words
        if test -n "$value"
            set value ''
            continue
        end
        switch "$path $word"
${all.flatMap(walkCases).join('')}        end
    end
    test "$path" = "$argv[1]"
end

complete -c ${name} -f
${all.flatMap((each) => declarations(name, each)).join('')}`;
}

function walkCases({ path, commands, options }: CompletedCommand): string[] {
  const cases = commands.map((each) => switchCase(path, [each.name, ...each.aliases], `set path ${quoted(each.path)}`));
  const names = options.filter(({ value }) => value !== undefined).flatMap((each) => each.names);
  return names.length === 0 ? cases : [...cases, switchCase(path, names, 'set value next')];
}

function switchCase(path: string, words: readonly string[], code: string): string {
  const patterns = words.map((word) => quoted(`${path} ${word}`)).join(' ');
  return `            case ${patterns}\n                ${code}\n`;
}

function declarations(program: string, { path, commands, options, argument }: CompletedCommand): string[] {
  const place = `complete -c ${program} -n ${quoted(`__teranode_p2p_at ${quoted(path)}`)}`;
  return [
    ...commands.map((each) => `${place} -a ${quoted(each.name)} -d ${quoted(each.summary)}\n`),
    ...options.map((each) => `${place} ${optionNames(each)}${optionValue(each)} -d ${quoted(each.summary)}\n`),
    ...(argument === undefined || argument.kind === 'text' ? [] : [`${place} ${candidates(argument)}\n`]),
  ];
}

function optionNames({ names }: CompletedOption): string {
  return names.map((each) => (each.startsWith('--') ? `-l ${each.slice(2)}` : `-s ${each.slice(1)}`)).join(' ');
}

function optionValue({ value }: CompletedOption): string {
  if (value === undefined) return '';
  if (value.kind === 'file') return ' -r -F';
  return value.kind === 'text' ? ' -x' : ` -x ${candidates(value)}`;
}

function candidates(value: Value): string {
  if (value.kind === 'choices') return `-a ${quoted(value.choices.join(' '))}`;
  return value.kind === 'folder' ? "-a '(__fish_complete_directories)'" : '-F';
}
