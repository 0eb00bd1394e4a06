// What the core needs of a logger. pino fits it as it is; tests bring a recorder.

type LogLine = (fields: Record<string, unknown>, event: string) => void;

/** One structured line an event. `event` is a short fixed text, never built from a peer's bytes. */
export interface Logger {
  trace: LogLine;
  debug: LogLine;
  info: LogLine;
  warn: LogLine;
  error: LogLine;
  /** At level info, past the filter of levels. Left out: `info` is called instead. */
  unfiltered?: LogLine;
}

/** For the few lines that somebody waits for or sees once, whatever `logLevel` is. */
export function logUnfiltered(log: Logger, fields: Record<string, unknown>, event: string): void {
  if (log.unfiltered === undefined) log.info(fields, event);
  else log.unfiltered(fields, event);
}
