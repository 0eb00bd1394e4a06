// The help of every command, as commander's tree has it, and the document that is made from it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { cliDocument } from '../../../scripts/docs-cli.ts';
import { descriptionOf } from '../../../src/cli/described.ts';
import { createProgram } from '../../../src/cli/program.ts';
import { collector, runInProcess } from '../../support/command-line.ts';
import { REPO } from '../../support/repo.ts';

const program = createProgram({ stdout: collector(), stderr: collector(), env: {}, cwd: REPO });

function pathOf(command: Command): string[] {
  return command.parent === null ? [] : [...pathOf(command.parent), command.name()];
}

const all = ((): Command[] => {
  const withBelow = (command: Command): Command[] => [command, ...command.commands.flatMap(withBelow)];
  return withBelow(program);
})();
const named = all.map((command) => [pathOf(command).join(' ') || 'teranode-p2p', command] as const);

/** The words of a shell that follow the name of the program in an example. */
function wordsOf(example: string): string[] {
  const line = example.split(/ \| | > /, 1)[0] ?? '';
  const [, rest = ''] = /(?:^|[ (])teranode-p2p (.*?)\)?$/.exec(line) ?? [];
  return [...rest.matchAll(/"[^"]*"|\S+/g)].map(([word]) => word);
}

describe('the help of', () => {
  test('the program names every command', () => {
    const names = program.commands.map((each) => each.name());
    for (const name of ['start', 'peers', 'bans', 'chain', 'settings', 'keygen', 'version', 'completion'])
      expect(names).toContain(name);
  });

  test.each(named)('%s explains its arguments and options, with an example and exit codes', async (_name, command) => {
    expect(command.description()).toMatch(/^[A-Z].{10,}/);
    for (const each of command.options)
      expect([each.flags, each.description]).toEqual([each.flags, expect.stringMatching(/.{6,}/)]);
    for (const each of command.registeredArguments)
      expect([each.name(), each.description]).toEqual([each.name(), expect.stringMatching(/.{6,}/)]);
    const { status, stdout, stderr } = await runInProcess([...pathOf(command), '--help']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^Usage: ${['teranode-p2p', ...pathOf(command)].join(' ')}`));
    expect(stdout).toMatch(/\nExamples:\n {2}\S/);
    expect(stdout).toMatch(/\nExit codes:\n {2}0 {2}\S.*\n {2}1 {2}\S.*\n {2}2 {2}\S/);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  test.each(named)('%s has examples that this command line understands', (_name, command) => {
    const { examples = [] } = descriptionOf(command) ?? {};
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) {
      const words = wordsOf(example);
      const called = words.reduce<Command>(
        (at, word) => at.commands.find((each) => [each.name(), ...each.aliases()].includes(word)) ?? at,
        program,
      );
      expect([example, ...pathOf(called)].slice(0, 1 + pathOf(command).length)).toEqual([example, ...pathOf(command)]);
      const { operands, unknown } = called.parseOptions(words);
      const flags = unknown.filter((each) => each.startsWith('--'));
      const inherited = called.parent?.options.map((each) => each.long) ?? [];
      expect([example, flags.filter((each) => !inherited.includes(each))]).toEqual([example, []]);
      if (called.registeredArguments.length > 0) expect(operands.length).toBeGreaterThan(pathOf(called).length);
    }
  });

  test('commands is wrapped at the width of the terminal', async () => {
    const { stdout } = await runInProcess(['bans', 'add', '--help'], { columns: 60, env: { NO_COLOR: '1' } });
    for (const line of stdout.split('\n').filter((each) => !/teranode-p2p/.test(each)))
      expect(line.length).toBeLessThanOrEqual(60);
  });
});

test('docs/cli.md is made from the commands', () => {
  expect(readFileSync(join(REPO, 'docs/cli.md'), 'utf8')).toBe(cliDocument());
});
