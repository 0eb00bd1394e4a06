// Lines of a child's output, parsed where they are JSON.
import { createInterface } from 'node:readline';

const MAX_LINES = 20_000;

export interface OutputLines {
  readonly json: Record<string, unknown>[];
  readonly text: string[];
}

/** Collects lines, bounded; `onJson` sees each JSON line as it comes. */
export function collectLines(
  stream: NodeJS.ReadableStream,
  onJson?: (line: Record<string, unknown>) => void,
): OutputLines {
  const lines: OutputLines = { json: [], text: [] };
  createInterface({ input: stream }).on('line', (line) => {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      if (lines.text.length < MAX_LINES) lines.text.push(line);
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    if (lines.json.length < MAX_LINES) lines.json.push(value as Record<string, unknown>);
    onJson?.(value as Record<string, unknown>);
  });
  return lines;
}
