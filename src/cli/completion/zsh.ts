// The completion script for zsh: a file `_teranode-p2p` in a folder of fpath, or sourced after compinit.
import { quoted } from './quoted.ts';
import type { CompletedCommand, Value } from './tree.ts';
import { pathBranches, valueBranches, walkBranches } from './walk.ts';

export function zshScript(program: CompletedCommand): string {
  const { name } = program;
  const options = pathBranches(program, '      ', (each) =>
    entries(each.options.flatMap(({ names, summary }) => names.map((option) => ({ name: option, summary })))),
  );
  const rest = pathBranches(program, '      ', ({ commands, argument }) =>
    commands.length > 0 ? entries(commands) : argument === undefined ? '' : completion(argument),
  );
  return `#compdef ${name}
# Completes ${name} in zsh: ${name} completion zsh > a/folder/of/fpath/_${name}

_${name}() {
  local current=\${words[CURRENT]} at= value= kind= word
  local -a found
  local -i i
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
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
    file) _files ;;
    folder) _files -/ ;;
    *) ((\${#found})) && _describe '${name}' found ;;
  esac
}

if [[ \${funcstack[1]} == _${name} ]]; then
  _${name} "$@"
else
  compdef _${name} ${name}
fi
`;
}

function entries(all: readonly { readonly name: string; readonly summary: string }[]): string {
  return `found=(${all.map((each) => quoted(`${each.name}:${each.summary}`)).join(' ')})`;
}

function completion(value: Value): string {
  if (value.kind === 'choices') return `found=(${value.choices.map(quoted).join(' ')})`;
  return value.kind === 'text' ? '' : `kind=${value.kind}`;
}
