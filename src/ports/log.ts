// The logger that the core needs. pino has this interface; tests record lines.

type LogLine = (fields: Record<string, unknown>, event: string) => void;

/** One structured line per event. `event` is a short constant text, never built from a peer's bytes. */
export interface Logger {
  trace: LogLine;
  debug: LogLine;
  info: LogLine;
  warn: LogLine;
  error: LogLine;
  /** Logs at level info whatever the configured level is. Without it, `info` is used. */
  unfiltered?: LogLine;
}

/** For the few lines that must appear whatever `logLevel` is, such as the ready line. */
export function logUnfiltered(log: Logger, fields: Record<string, unknown>, event: string): void {
  if (log.unfiltered === undefined) log.info(fields, event);
  else log.unfiltered(fields, event);
}
