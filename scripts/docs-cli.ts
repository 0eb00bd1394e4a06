// Writes docs/cli.md from the commands themselves.
import { writeFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { descriptionOf, EXIT_CODES } from '../src/cli/described.ts';
import { createProgram } from '../src/cli/program.ts';

const HEADING = `# Command line

\`teranode-p2p\` runs a node and administers a running one. In a checkout write \`npm run -s cli --\` instead of
\`teranode-p2p\`. This page is made by \`npm run docs:cli\`.

To install the command itself, with Node.js 22.22 or newer on the machine:

\`\`\`sh
npm ci && npm pack
npm install --global ./teranode-p2p-0.1.0.tgz
teranode-p2p version
\`\`\`

\`start\`, \`settings\` and \`doctor\` need a \`settings.conf\`, in the current folder or that of \`--settings\`; copy the one in
\`$(npm root --global)/teranode-p2p\`. The package has no native addon, so libsodium verifies signatures
([limits](limits.md#platforms)).

Results go to standard output: tables for people, or JSON with \`--json\`, one object per line. Errors, warnings,
questions and progress go to standard error; an error is one line that begins with its [code](errors.md), or with
\`error:\` when the command line itself is wrong. Only invalid settings take more lines, one pair for each problem.
Colors and progress appear on terminals only, and no colors when \`NO_COLOR\` is set. On a terminal that is too narrow
for a table, each row becomes a paragraph.

`;

const COMPLETION = `## Completion

\`\`\`sh
source <(teranode-p2p completion bash)
teranode-p2p completion bash > ~/.local/share/bash-completion/completions/teranode-p2p
mkdir -p ~/.zfunc && teranode-p2p completion zsh > ~/.zfunc/_teranode-p2p
teranode-p2p completion fish > ~/.config/fish/completions/teranode-p2p.fish
\`\`\`

The first line serves the current shell, the others all shells that start later. For zsh, \`~/.zshrc\` must have
\`fpath=(~/.zfunc $fpath)\` before \`autoload -U compinit && compinit\`. Make the script again after an update.

`;

export function cliDocument(): string {
  const nowhere = new PassThrough();
  const program = createProgram({ stdout: nowhere, stderr: nowhere, env: {}, cwd: '/' });
  const codes = Object.entries(EXIT_CODES).map(([code, meaning]) => `| ${code} | ${meaning} |\n`);
  const exits = `## Exit codes\n\n| code | meaning |\n|---|---|\n${codes.join('')}\nA reader that closes standard output early (\`| head\`) is no failure.\n\n`;
  return `${HEADING}${exits}${COMPLETION}${program.commands.flatMap((each) => sections(each, '')).join('\n')}`;
}

/** Of a command and all below it. */
function sections(command: Command, parent: string): string[] {
  const path = `${parent}${command.name()}`;
  return [section(command, path), ...command.commands.flatMap((each) => sections(each, `${path} `))];
}

function section(command: Command, path: string): string {
  const help = command.createHelp();
  const aliases = command.aliases().map((each) => `\`${each}\``);
  const codes = ownCodes(command);
  const examples = descriptionOf(command)?.examples ?? [];
  return [
    `## ${path}\n`,
    `${wrapped(`${fullStop(command.description())}${aliases.length > 0 ? ` Also: ${aliases.join(', ')}.` : ''}`)}\n`,
    `\`\`\`sh\n${help.commandUsage(command)}\n\`\`\`\n`,
    ...rows(
      'argument',
      command.registeredArguments.map((each) => [each.name(), help.argumentDescription(each)]),
    ),
    ...rows(
      'option',
      command.options.map((each) => [each.flags, help.optionDescription(each)]),
    ),
    ...(command.parent?.parent == null ? [] : [`Options of \`${command.parent.name()}\` apply too.\n`]),
    `Examples:\n\n\`\`\`sh\n${examples.join('\n')}\n\`\`\`\n`,
    ...(codes.length === 0 ? [] : [`Exit codes: ${codes.join('; ')}.\n`]),
  ].join('\n');
}

/** Those whose meaning differs from the rule. */
function ownCodes(command: Command): string[] {
  const codes = descriptionOf(command)?.exitCodes ?? EXIT_CODES;
  return ([0, 1, 2] as const)
    .filter((code) => codes[code] !== EXIT_CODES[code])
    .map((code) => `${code} ${codes[code]}`);
}

function rows(head: string, all: readonly (readonly [name: string, description: string])[]): string[] {
  if (all.length === 0) return [];
  const cells = all.map(([name, text]) => `| \`${name.replaceAll('|', '\\|')}\` | ${shown(text)} |\n`);
  return [`| ${head} | meaning |\n|---|---|\n${cells.join('')}`];
}

/** What stands in angle brackets would be read as HTML. */
function shown(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

function fullStop(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}

const MAX_COLUMNS = 120;

function wrapped(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last.length + word.length >= MAX_COLUMNS) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.join('\n');
}

if (import.meta.main) writeFileSync(fileURLToPath(new URL('../docs/cli.md', import.meta.url)), cliDocument());
