// What the core needs of a logger. pino fits it as it is; tests bring a recorder.

type LogLine = (fields: Record<string, unknown>, event: string) => void;

/** One structured line an event. `event` is a short fixed text, never built from a peer's bytes. */
export interface Logger {
  trace: LogLine;
  debug: LogLine;
  info: LogLine;
  warn: LogLine;
  error: LogLine;
}
