// Protections of every request: which web pages may read the response (CORS), how many requests an address may send,
// and headers for browsers.
import cors from '@fastify/cors';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { KEY_HEADER } from '../../../settings/admin-key.ts';
import { HttpProblem, notFound } from './http-problem.ts';
import type { Origins } from './origins.ts';

export interface ProtectionOptions {
  readonly corsOrigins: Origins;
  /** Requests per second per client address (IPv6: per /64), with a burst of ten times as many; 0: unlimited. */
  readonly ratePerSecond: number;
  /** Whose limits a request counts towards. */
  readonly addressOf: (request: FastifyRequest) => string;
  /** Whether a request has the admin key, and therefore no limit: others at the same address must not lock it out. */
  readonly isTrusted: (request: FastifyRequest) => boolean;
}

const RATE_WINDOW_S = 10;
/** Addresses counted at once; when there are more, the one seen longest ago is forgotten. */
const MAX_COUNTED_ADDRESSES = 10_000;
const PREFLIGHT_CACHE_S = 600;

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};

export async function addProtections(app: FastifyInstance, options: ProtectionOptions): Promise<void> {
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(HEADERS);
  });
  app.addHook('onRequest', async ({ method, headers }) => {
    if (method === 'OPTIONS' && !(headers.origin && headers['access-control-request-method'])) throw noPreflight();
  });
  await app.register(cors, {
    origin: options.corsOrigins.includes('*') ? '*' : [...options.corsOrigins],
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    allowedHeaders: ['content-type', KEY_HEADER],
    exposedHeaders: ['retry-after'],
    maxAge: PREFLIGHT_CACHE_S,
  });
  await addRateLimit(app, options);
}

/**
 * Applies to every route that does not opt out in its `config`, however its path was spelled, and to unknown paths. It
 * runs before all else.
 */
async function addRateLimit(app: FastifyInstance, options: ProtectionOptions): Promise<void> {
  const { ratePerSecond, addressOf, isTrusted } = options;
  await app.register(rateLimit, {
    max: ratePerSecond * RATE_WINDOW_S,
    timeWindow: RATE_WINDOW_S * 1000,
    cache: MAX_COUNTED_ADDRESSES,
    allowList: (request) => ratePerSecond === 0 || isTrusted(request),
    keyGenerator: addressOf,
    errorResponseBuilder: (_request, { after }) =>
      new HttpProblem(429, 'TOO_MANY_REQUESTS', `too many requests from this address; try again in ${after}`),
  });
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, notFound);
}

function noPreflight(): HttpProblem {
  return new HttpProblem(
    400,
    'REQUEST_INVALID',
    'invalid preflight: OPTIONS needs the headers Origin and Access-Control-Request-Method',
  );
}
