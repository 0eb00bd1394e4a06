// The completion script for bash. It needs neither the package bash-completion nor more than bash 3.2.
import { quoted } from './quoted.ts';
import type { CompletedCommand, Value } from './tree.ts';
import { pathBranches, valueBranches, walkBranches } from './walk.ts';

export function bashScript(program: CompletedCommand): string {
  const { name } = program;
  const options = pathBranches(program, '      ', (each) => words(each.options.flatMap(({ names }) => names)));
  const rest = pathBranches(program, '      ', ({ commands, argument }) =>
    commands.length > 0 ? words(commands.map((each) => each.name)) : argument === undefined ? '' : completion(argument),
  );
  return `# Completes ${name} in bash: source <(${name} completion bash)

_teranode_p2p() {
  local current=\${COMP_WORDS[COMP_CWORD]} at= value= words= kind= word i
  local IFS=$'\\n'
  COMPREPLY=()
  [[ $current == = ]] && current=
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ $word == = ]] && continue
    if [[ -n $value ]]; then value=; continue; fi
    case "$at $word" in
${walkBranches(program, '      ')}    esac
  done
  if [[ -n $value ]]; then
    case "$value" in
${valueBranches(program, '      ', completion)}    esac
  elif [[ $current == -* ]]; then
    case "$at" in
${options}    esac
  else
    case "$at" in
${rest}    esac
  fi
  case "$kind" in
    file) COMPREPLY=($(compgen -f -- "$current")) && compopt -o filenames 2>/dev/null ;;
    folder) COMPREPLY=($(compgen -d -- "$current")) && compopt -o filenames 2>/dev/null ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}

complete -F _teranode_p2p ${name}
`;
}

/** compgen splits at the IFS, which is a line feed here. */
function words(all: readonly string[]): string {
  return `words=$${quoted(all.join('\\n'))}`;
}

function completion(value: Value): string {
  if (value.kind === 'choices') return words(value.choices);
  return value.kind === 'text' ? '' : `kind=${value.kind}`;
}
