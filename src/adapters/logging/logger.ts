// pino behind the logger port: one JSON line per event on stdout, or readable lines on a terminal. Texts are without
// characters that are not shown, and long ones are cut, so that peers cannot forge log lines. Lines that nobody reads
// never delay this process.
import { pino } from 'pino';
import { P2PError } from '../../lib/errors.ts';
import { withoutPasswordsOfUrls } from '../../lib/masking.ts';
import { shownLines, shownText, shownTexts } from '../../lib/shown-text.ts';
import { systemClock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter } from '../../ports/metrics.ts';
import { LineWriter, standardOutput } from './line-writer.ts';

export interface LoggerOptions {
  /** `logLevel` as in Go: DEBUG, INFO, WARN, ERROR, FATAL; also TRACE. */
  readonly level: string;
  readonly format: 'json' | 'pretty';
  /** Counts lines that are lost because standard output is full or closed. */
  readonly dropped?: Counter;
}

const MAX_TEXT = 1024;
/** Masking precedes the cut: what identifies a password comes after it. */
const MAX_MASKED = 4 * MAX_TEXT;
const MAX_CAUSES = 5;

export async function createLogger(options: LoggerOptions): Promise<Logger> {
  const writer = new LineWriter(
    { output: standardOutput(), clock: systemClock, dropped: options.dropped },
    { onResumed: (lines) => filtersNoInfo.warn({ lines }, 'log lines dropped') },
  );
  const log = await pinoLogger(options, writer);
  const filtersNoInfo = log.child({}, { level: 'info' });
  return Object.assign(log, {
    unfiltered: (fields: Record<string, unknown>, event: string) => filtersNoInfo.info(fields, event),
  });
}

async function pinoLogger(options: LoggerOptions, writer: LineWriter) {
  const level = options.level.toLowerCase();
  const settings = {
    level: level === 'fatal' ? 'error' : level,
    messageKey: 'event',
    base: null,
    formatters: { level: (label: string) => ({ level: label }), log: shownFields },
    serializers: { err: (error: unknown) => serializeError(error) },
  };
  if (options.format === 'json') return pino(settings, writer);
  const { prettyFactory } = await import('pino-pretty');
  const { NO_COLOR, TERM } = process.env;
  const colorize = process.stdout.isTTY === true && !NO_COLOR && TERM !== 'dumb';
  const readable = prettyFactory({ colorize, messageKey: 'event', translateTime: 'HH:MM:ss.l' });
  return pino(settings, { write: (line) => writer.write(readable(line)) });
}

function shownFields(fields: Record<string, unknown>): Record<string, unknown> {
  for (const [key, value] of Object.entries(fields)) {
    fields[key] = typeof value === 'string' ? logged(value) : shownTexts(value);
  }
  return fields;
}

/** Without passwords of URLs and characters that are not shown, and cut. */
function logged(text: string): string {
  const shown = shownText(masked(text));
  return shown.length > MAX_TEXT ? `${shownText(shown, MAX_TEXT)}…` : shown;
}

function masked(text: string): string {
  return withoutPasswordsOfUrls(text.slice(0, MAX_MASKED));
}

/** Name, code, message and causes; the stack only of unexpected errors. */
export function serializeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return logged(String(error));
  const known = error instanceof P2PError;
  return {
    name: error.name,
    ...(known ? { code: error.code, details: shownFields({ ...error.details }) } : {}),
    message: logged(error.message),
    ...(known || depth > 0 ? {} : { stack: shownLines(masked(error.stack ?? '')) }),
    ...(error.cause !== undefined && depth < MAX_CAUSES ? { cause: serializeError(error.cause, depth + 1) } : {}),
  };
}
