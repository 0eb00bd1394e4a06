// Tables for people. Control characters are escaped, so that texts from peers cannot move the cursor or color the
// terminal.
import type { Terminal } from '../terminal.ts';

/** Longer cells are cut; a multiaddr through a circuit relay has about 200 characters. */
const MAX_CELL_CHARS = 200;
/** 9999-12-31T23:59:59Z. */
const MAX_TIME_MS = 253_402_300_799_000;

/** A cell, or its text with a color. */
export type Cell = string | { readonly text: string; readonly color: 'green' | 'red' | 'yellow' };

export interface Column {
  readonly head: string;
  /** Numbers align at their last digit. */
  readonly isNumber?: boolean;
}

/**
 * Columns are as wide as their longest cell, with two spaces between; heads are in upper case. Empty cells are `-`. On a
 * terminal that is too narrow for that, each row becomes a paragraph with a line per column.
 */
export function table(
  columns: readonly (string | Column)[],
  rows: readonly (readonly Cell[])[],
  terminal: Terminal,
): string {
  const heads = columns.map((each) => (typeof each === 'string' ? { head: each } : each));
  const cells = rows.map((row) => row.map(cell));
  const widths = heads.map(({ head }, i) => Math.max(head.length, ...cells.map((row) => row[i]?.text.length ?? 0)));
  const width = widths.reduce((sum, each) => sum + each + 2, -2);
  if (width > (terminal.columns ?? Number.POSITIVE_INFINITY)) return paragraphs(heads, cells, terminal);
  const padded = (i: number, text: string) => {
    const spaces = ' '.repeat((widths[i] ?? 0) - text.length);
    return heads[i]?.isNumber === true ? [spaces, ''] : ['', spaces];
  };
  const line = (row: readonly ShownCell[]) =>
    row
      .map(({ text, color }, i) => {
        const [before = '', after = ''] = padded(i, text);
        const shown = color === undefined ? text : terminal.color(color, text);
        return before + shown + (i === row.length - 1 ? '' : after);
      })
      .join('  ')
      .concat('\n');
  return [heads.map(({ head }) => ({ text: head.toUpperCase(), color: 'bold' as const })), ...cells].map(line).join('');
}

/** A line for each name with its value; names are as wide as the longest. An empty name continues the line before. */
export function rows(all: readonly (readonly [name: string, value: Cell])[], terminal: Terminal): string {
  const width = Math.max(...all.map(([name]) => name.length));
  return all
    .map(([name, value]) => {
      const { text, color } = typeof value === 'string' ? { text: value, color: undefined } : value;
      const shown = visible(text);
      return `${visible(name.padEnd(width))}  ${color === undefined ? shown : terminal.color(color, shown)}\n`;
    })
    .join('');
}

/** One line of text without control characters. */
export function visible(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (each) => `\\u{${each.codePointAt(0)?.toString(16)}}`);
}

/** ISO 8601 in UTC with whole seconds, at most the year 9999; empty when unknown. */
export function isoTime(ms: number | undefined): string {
  return ms === undefined ? '' : `${new Date(Math.min(ms, MAX_TIME_MS)).toISOString().slice(0, 19)}Z`;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** Three digits and a unit of thousands: `512 B`, `1.25 MB`. */
export function byteCount(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 999.5 && unit < BYTE_UNITS.length - 1; unit += 1) value /= 1000;
  return `${unit === 0 ? value : value.toPrecision(3)} ${BYTE_UNITS[unit]}`;
}

/** `1 peer`, `2 peers`. */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`;
}

interface ShownCell {
  readonly text: string;
  readonly color: 'green' | 'red' | 'yellow' | 'bold' | undefined;
}

function paragraphs(heads: readonly Column[], rows: readonly (readonly ShownCell[])[], terminal: Terminal): string {
  const width = Math.max(...heads.map(({ head }) => head.length));
  return rows
    .map((row) =>
      row
        .map(({ text, color }, i) => {
          const name = terminal.color('bold', (heads[i]?.head ?? '').toUpperCase().padEnd(width));
          return `${name}  ${color === undefined ? text : terminal.color(color, text)}\n`;
        })
        .join(''),
    )
    .join('\n');
}

function cell(given: Cell): ShownCell {
  const { text, color } = typeof given === 'string' ? { text: given, color: undefined } : given;
  const shown = visible(text);
  if (shown === '') return { text: '-', color: undefined };
  return { text: shown.length > MAX_CELL_CHARS ? `${shown.slice(0, MAX_CELL_CHARS)}…` : shown, color };
}
