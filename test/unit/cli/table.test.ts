// Tables, colors and units as people see them in a terminal, in a pipe and in a file.
import { describe, expect, test } from 'vitest';
import { byteCount, counted, rows, table } from '../../../src/cli/commands/table.ts';
import { terminalOf } from '../../../src/cli/terminal.ts';
import { collector } from '../../support/command-line.ts';

const pipe = terminalOf({ stdout: collector(), env: {} });
const terminal = (columns: number, env = {}) => terminalOf({ stdout: collector(columns), env });
const COLUMNS = ['name', { head: 'size', isNumber: true }, 'state'];
const CELLS = [
  ['a', '1 B', { text: 'bad', color: 'red' as const }],
  ['longer', '100 B', ''],
];

describe('a table', () => {
  test('aligns columns, numbers at their end, and has neither trailing spaces nor colors in a pipe', () => {
    expect(table(COLUMNS, CELLS, pipe)).toBe(
      ['NAME     SIZE  STATE', 'a         1 B  bad', 'longer  100 B  -', ''].join('\n'),
    );
  });

  test('becomes paragraphs on a terminal that is narrower than it', () => {
    const width = 'longer  100 B  STATE'.length;
    expect(table(COLUMNS, CELLS, terminal(width, { NO_COLOR: '1' }))).toContain('NAME     SIZE  STATE\n');
    expect(table(COLUMNS, CELLS, terminal(width - 1, { NO_COLOR: '1' }))).toBe(
      ['NAME   a', 'SIZE   1 B', 'STATE  bad', '', 'NAME   longer', 'SIZE   100 B', 'STATE  -', ''].join('\n'),
    );
  });

  test('has colors on a terminal, unless NO_COLOR is set or the terminal is dumb', () => {
    expect(table(COLUMNS, CELLS, terminal(80))).toContain('\u001b[31mbad\u001b[39m');
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }])
      expect(table(COLUMNS, CELLS, terminal(80, env))).not.toContain('\u001b');
    expect(table(COLUMNS, CELLS, terminal(80, { NO_COLOR: '' }))).toContain('\u001b');
  });

  test('shows control characters of others as text, also in colors', () => {
    const evil = { text: 'x\u001b[2J\n', color: 'red' as const };
    expect(table(['name'], [[evil]], terminal(80))).toContain('\u001b[31mx\\u{1b}[2J\\u{a}\u001b[39m');
    expect(rows([['name', evil]], terminal(80))).toContain('\u001b[31mx\\u{1b}[2J\\u{a}\u001b[39m');
  });
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.00 kB'],
  [999_499, '999 kB'],
  [999_500, '1.00 MB'],
  [5_000_000_000, '5.00 GB'],
  [2 ** 64, '18.4 EB'],
])('%d bytes are shown as %s', (bytes, shown) => {
  expect(byteCount(bytes)).toBe(shown);
});

test('one and several are counted in words', () => {
  expect([counted(0, 'peer'), counted(1, 'peer'), counted(2, 'peer')]).toEqual(['0 peers', '1 peer', '2 peers']);
});
