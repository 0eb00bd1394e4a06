// pino behind the logger port: one JSON line per event on stdout, or readable lines on a terminal. JSON escapes bytes
// from peers, and long texts are cut, so that peers cannot forge log lines. Lines that nobody reads never delay this
// process.
import { pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { P2PError } from '../../lib/errors.ts';
import { withoutPasswordsOfUrls } from '../../lib/masking.ts';
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

export function createLogger(options: LoggerOptions): Logger {
  const writer = new LineWriter(
    { output: standardOutput(), clock: systemClock, dropped: options.dropped },
    { onResumed: (lines) => filtersNoInfo.warn({ lines }, 'log lines dropped') },
  );
  const log = pinoLogger(options, writer);
  const filtersNoInfo = log.child({}, { level: 'info' });
  return Object.assign(log, {
    unfiltered: (fields: Record<string, unknown>, event: string) => filtersNoInfo.info(fields, event),
  });
}

function pinoLogger(options: LoggerOptions, writer: LineWriter) {
  const level = options.level.toLowerCase();
  const settings = {
    level: level === 'fatal' ? 'error' : level,
    messageKey: 'event',
    base: null,
    formatters: { level: (label: string) => ({ level: label }), log: cutFields },
    serializers: { err: (error: unknown) => serializeError(error) },
  };
  if (options.format === 'json') return pino(settings, writer);
  const colorize = process.stdout.isTTY === true;
  const readable = prettyFactory({ colorize, messageKey: 'event', translateTime: 'HH:MM:ss.l' });
  return pino(settings, { write: (line) => writer.write(readable(line)) });
}

function cutFields(fields: Record<string, unknown>): Record<string, unknown> {
  for (const [key, value] of Object.entries(fields)) {
    if (typeof value === 'string' && (value.length > MAX_TEXT || value.includes('://'))) fields[key] = shownText(value);
  }
  return fields;
}

/** Without passwords of URLs, and cut. */
function shownText(text: string): string {
  const masked = withoutPasswordsOfUrls(text.slice(0, MAX_MASKED));
  return masked.length > MAX_TEXT ? `${masked.slice(0, MAX_TEXT)}…` : masked;
}

/** Name, code, message and causes; the stack only of unexpected errors. */
export function serializeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return shownText(String(error));
  const known = error instanceof P2PError;
  return {
    name: error.name,
    ...(known ? { code: error.code, details: cutFields({ ...error.details }) } : {}),
    message: shownText(error.message),
    ...(known || depth > 0 ? {} : { stack: withoutPasswordsOfUrls((error.stack ?? '').slice(0, MAX_MASKED)) }),
    ...(error.cause !== undefined && depth < MAX_CAUSES ? { cause: serializeError(error.cause, depth + 1) } : {}),
  };
}
