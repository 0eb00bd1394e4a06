// Warnings and errors of Fastify and its plugins go to our log as warnings. Everything else is dropped, above all one
// line per request.
import type { FastifyBaseLogger } from 'fastify';
import type { Logger } from '../../../ports/log.ts';

export function fastifyLog(log: Logger): FastifyBaseLogger {
  const warn = (fields: unknown, text?: unknown) => {
    const err = typeof fields === 'object' && fields !== null && 'err' in fields ? fields.err : fields;
    log.warn({ err }, typeof text === 'string' ? text : 'HTTP server warning');
  };
  const silent = () => undefined;
  const all: FastifyBaseLogger = {
    level: 'warn',
    fatal: warn,
    error: warn,
    warn,
    info: silent,
    debug: silent,
    trace: silent,
    silent,
    child: () => all,
  };
  return all;
}
