// What the routes of the API share: Fastify with types from zod schemas, and how their responses are described.
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { PROBLEM } from '../server/http-problem.ts';

export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** Refusals of a route with parameters in its path: invalid, too long. */
export const OF_PATH = [400, 414] as const;
export const OF_QUERY = [400] as const;
/** Refusals of a request that may have a body: invalid, too large, of another type. */
export const OF_BODY = [400, 413, 415] as const;
/**
 * Refusals of every API route: too many requests, an internal error, a node that has not started, no answer in time.
 */
const OF_ALL = [429, 500, 503, 504] as const;

/** Responses of an API route: 200 with `answer`, whose description should say what it holds, or a Problem. */
export function answers<A extends z.ZodType>(answer: A, ...refusals: readonly number[]): { readonly 200: A } {
  return { 200: answer, ...problems(...refusals, ...OF_ALL) };
}

/** Responses that carry a Problem. */
export function problems(...statuses: readonly number[]): object {
  const content = { 'application/json': { schema: PROBLEM } };
  return Object.fromEntries(
    statuses.map((status) => [status, { description: `${STATUS_CODES[status] ?? 'Refused'}.`, content }]),
  );
}

/** Content of a response in plain text. */
export const TEXT_CONTENT = { 'text/plain': { schema: z.string() } } as const;
