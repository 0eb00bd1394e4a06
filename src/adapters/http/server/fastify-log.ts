// What Fastify and its plugins find wrong stands in our log as warnings; the rest of what they say is left out, one line a request above all.
import type { FastifyBaseLogger } from 'fastify';
import type { Logger } from '../../../ports/log.ts';

export function fastifyLog(log: Logger): FastifyBaseLogger {
  const warn = (fields: unknown, text?: unknown) => {
    const err = typeof fields === 'object' && fields !== null && 'err' in fields ? fields.err : fields;
    log.warn({ err }, typeof text === 'string' ? text : 'http server warns');
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
