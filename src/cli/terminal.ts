// What a terminal can show. Files and pipes get neither colors nor lines fitted to a width.
import { styleText } from 'node:util';
import type { CommandIo } from './commands/io.ts';

type Color = 'green' | 'red' | 'yellow' | 'bold' | 'dim';

export interface Terminal {
  /** undefined: not a terminal. */
  readonly columns: number | undefined;
  /** The text in a color, where the output has colors. */
  color(color: Color, text: string): string;
}

/** Of standard output. No colors with NO_COLOR or a dumb terminal. */
export function terminalOf({ stdout, env }: Pick<CommandIo, 'stdout' | 'env'>): Terminal {
  const isTerminal = stdout.isTTY === true;
  const hasColors = isTerminal && !env.NO_COLOR && env.TERM !== 'dumb';
  return {
    columns: isTerminal ? stdout.columns : undefined,
    color: (color, text) => (hasColors && text !== '' ? styleText(color, text, { validateStream: false }) : text),
  };
}
