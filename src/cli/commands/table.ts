// Tables for people. Control characters are escaped, so that texts from peers cannot move the cursor or color the
// terminal.

/** Longer cells are cut; a multiaddr through a circuit relay has about 200 characters. */
const MAX_CELL_CHARS = 200;
/** 9999-12-31T23:59:59Z. */
const MAX_TIME_MS = 253_402_300_799_000;

/** Columns are as wide as their longest cell, with two spaces between; heads are in upper case. Empty cells are `-`. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [heads.map((head) => head.toUpperCase()), ...rows.map((row) => row.map(cell))];
  const widths = heads.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  return cells
    .map(
      (row) =>
        `${row
          .map((text, i) => text.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
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

function cell(text: string): string {
  const shown = visible(text);
  if (shown === '') return '-';
  return shown.length > MAX_CELL_CHARS ? `${shown.slice(0, MAX_CELL_CHARS)}…` : shown;
}
