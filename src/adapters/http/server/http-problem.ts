// How a request is refused: a status, a code and a message, always as JSON. Codes are a closed set, so that programs
// need not parse texts.
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ERROR_CODES, P2PError } from '../../../lib/errors.ts';
import { shownText } from '../../../lib/shown-text.ts';
import type { Logger } from '../../../ports/log.ts';

export const PROBLEM_CODES = [
  'INPUT_INVALID',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'METHOD_NOT_ALLOWED',
  'STILL_BANNED',
  'UPGRADE_REQUIRED',
  'TOO_LARGE',
  'MEDIA_TYPE_UNSUPPORTED',
  'TOO_MANY_REQUESTS',
  'TOO_MANY_CLIENTS',
  'NOT_READY',
  'PEER_UNREACHABLE',
  'STORE_UNAVAILABLE',
  'TIMEOUT',
  'REQUEST_INVALID',
  'INTERNAL',
] as const;

export type ProblemCode = (typeof PROBLEM_CODES)[number];

export const PROBLEM = z
  .object({ code: z.enum(PROBLEM_CODES), message: z.string().describe('Text for people; it may change.') })
  .meta({ id: 'Problem', description: 'Why a request was refused.' });

export class HttpProblem extends Error {
  readonly status: number;
  readonly code: ProblemCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ProblemCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** Of Fastify's own refusals, by their status. */
const OF_STATUS: Readonly<Record<number, ProblemCode>> = {
  400: 'REQUEST_INVALID',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  413: 'TOO_LARGE',
  414: 'TOO_LARGE',
  415: 'MEDIA_TYPE_UNSUPPORTED',
  429: 'TOO_MANY_REQUESTS',
  431: 'TOO_LARGE',
};

/** Turns every error of a request into a problem. Internal errors are logged; their text is not sent. */
export function problemAnswer(
  log: Logger,
): (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => {
    const problem = problemOf(error);
    if (problem.status >= 500 && problem.code === 'INTERNAL') {
      log.error({ route: request.routeOptions.url, err: error }, 'HTTP request failed');
    }
    send(reply, problem);
  };
}

/** Answers requests for unknown paths. */
export async function notFound(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const path = request.url.split('?', 1)[0]?.slice(0, 200) ?? '';
  return send(reply, new HttpProblem(404, 'NOT_FOUND', `unknown route ${request.method} ${path} (see /openapi.json)`));
}

function send(reply: FastifyReply, problem: HttpProblem): FastifyReply {
  return reply
    .code(problem.status)
    .headers(problem.headers)
    .type('application/json; charset=utf-8')
    .serializer((body) => JSON.stringify(body))
    .send({ code: problem.code, message: shownText(problem.message) });
}

function problemOf(error: FastifyError): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (error instanceof P2PError) {
    const { http } = ERROR_CODES[error.code];
    return http === undefined ? internal() : new HttpProblem(http.status, http.code, error.message);
  }
  if (error.code === 'FST_ERR_HANDLER_TIMEOUT') return new HttpProblem(504, 'TIMEOUT', 'no response in time');
  const status = error.statusCode ?? 500;
  const code = error.validation === undefined ? OF_STATUS[status] : 'INPUT_INVALID';
  return code === undefined ? internal() : new HttpProblem(status, code, error.message);
}

function internal(): HttpProblem {
  return new HttpProblem(500, 'INTERNAL', 'internal error (see the log of the server)');
}
