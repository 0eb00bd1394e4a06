// The completion scripts in the shells they are for: each is sourced and asked what follows a command line.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { SHELLS, type Shell } from '../../src/cli/completion/shells.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { runInProcess } from '../support/command-line.ts';
import { requireTool } from '../support/tools.ts';

const folder = temporaryFolder('completion');
const DEADLINE_MS = 60_000;

/** What the shell offers after `line`, in its order. */
type Completed = (line: string) => string[];

beforeAll(async () => {
  for (const shell of SHELLS) {
    requireTool(shell, ['--version'], shell);
    const { status, stdout, stderr } = await runInProcess(['completion', shell]);
    expect([status, stderr]).toEqual([0, '']);
    writeFileSync(join(folder, `${shell}.sh`), stdout);
  }
  writeFileSync(join(folder, '.zshrc'), ZSHRC);
  mkdirSync(join(folder, 'a folder'));
  writeFileSync(join(folder, 'a file'), '');
});

function run(program: string, args: readonly string[], env: Record<string, string> = {}): string[] {
  const options = { encoding: 'utf8', cwd: folder, timeout: DEADLINE_MS } as const;
  const stdout = execFileSync(program, args, {
    ...options,
    env: { PATH: process.env.PATH ?? '', HOME: folder, TERM: 'dumb', ...env },
  });
  return stdout.split('\n').filter((line) => line !== '');
}

/** As bash does it: words are split at its word breaks, and the function of `complete` is called. */
const BASH = `
source ./bash.sh
line=$1
read -ra COMP_WORDS <<< "\${line//=/ = }"
[[ $line == *' ' || $line == *= ]] && COMP_WORDS+=('')
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
COMP_LINE=$line
COMP_POINT=\${#line}
[[ $(complete -p teranode-p2p) =~ -F\\ ([^ ]+) ]] && "\${BASH_REMATCH[1]}" teranode-p2p
printf '%s\\n' "\${COMPREPLY[@]}"
`;

/** The settings of an interactive zsh that writes what it would offer at a TAB into the file $OFFERED. */
const ZSHRC = `
PS1= PS2= RPS1=
setopt no_beep
autoload -U compinit && compinit -u -D
source ./zsh.sh
compadd() {
  local -a offered
  builtin compadd -O offered "$@"
  print -rl -- $offered >> $OFFERED
  builtin compadd "$@"
}
zle -C completed complete-word _main_complete
tab() { zle completed; : > $OFFERED.done }
zle -N tab
bindkey '^I' tab
print rea''dy
`;

/** Types the line and a TAB into that zsh, in a terminal of its own. */
const ZSH = `
zmodload zsh/zpty
rm -f $OFFERED $OFFERED.done
zpty shell zsh -d -i
zpty -r shell seen '*ready*'
zpty -w -n shell "$1"$'\\t'
for i in {1..1000}; do
  [[ -e $OFFERED.done ]] && break
  zpty -r -t shell seen
  sleep 0.05
done
cat $OFFERED 2>/dev/null
zpty -d shell
`;

/** Some functions of zsh add what they offer in several forms. */
function zshOffers(line: string): string[] {
  const env = { ZDOTDIR: folder, OFFERED: join(folder, 'offered') };
  const offered = run('zsh', ['-f', '-c', ZSH, 'zsh', line], env);
  return [...new Set(offered.map((each) => each.replaceAll('\\', '')))];
}

const completed: Readonly<Record<Shell, Completed>> = {
  bash: (line) => run('bash', ['--norc', '-c', BASH, 'bash', line]),
  zsh: zshOffers,
  fish: (line) =>
    run('fish', ['--no-config', '-c', `source ./fish.sh; complete -C ${JSON.stringify(line)}`]).map(
      (each) => each.split('\t', 1)[0] ?? '',
    ),
};

describe.each(SHELLS)('completion in %s', (shell) => {
  const sorted = (line: string) => completed[shell](line).sort();

  test('offers commands, and those below a command or its alias', () => {
    expect(sorted('teranode-p2p pe')).toEqual(['peers']);
    expect(sorted('teranode-p2p bans ')).toEqual(['add', 'clear', 'explain', 'list', 'remove']);
    expect(sorted('teranode-p2p ban re')).toEqual(['remove']);
    expect(sorted('teranode-p2p bans list ')).toEqual([]);
  });

  test('offers the options of a command and of those above it, and skips options with their values', () => {
    expect(sorted('teranode-p2p bans add --')).toEqual(
      expect.arrayContaining(['--for', '--until', '--reason', '--address', '--json', '--help']),
    );
    expect(sorted('teranode-p2p peers list --for')).toEqual([]);
    expect(sorted('teranode-p2p bans --address list ad')).toEqual(['add']);
    expect(sorted('teranode-p2p chain --json header')).toEqual(['header', 'headers']);
  });

  test('offers the values of options and arguments, and folders or files where such are expected', () => {
    expect(sorted('teranode-p2p keygen --form ')).toEqual(['hex', 'hex96', 'protobuf']);
    expect(sorted('teranode-p2p completion ')).toEqual(['bash', 'fish', 'zsh']);
    const names = (line: string) => sorted(line).map((each) => each.replace(/\/$/, ''));
    expect(names('teranode-p2p settings --settings a')).toEqual(['a folder']);
    expect(names('teranode-p2p backup a')).toEqual(['a file', 'a folder']);
    expect(sorted('teranode-p2p bans add --reason a')).toEqual([]);
  });
});

test('completion in bash understands --option=value', () => {
  expect(completed.bash('teranode-p2p keygen --form=he')).toEqual(['hex', 'hex96']);
});

test('completion in zsh works from a folder of fpath, too', () => {
  const functions = join(folder, 'functions');
  mkdirSync(functions);
  writeFileSync(join(functions, '_teranode-p2p'), execFileSync('cat', [join(folder, 'zsh.sh')]));
  const script = `fpath=(${functions} $fpath); autoload -U compinit; compinit -u -D; print -r -- $_comps[teranode-p2p]`;
  expect(run('zsh', ['-f', '-c', script])).toEqual(['_teranode-p2p']);
});
