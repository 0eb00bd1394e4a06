// What holds for every request: which web pages may read the answer, how many one address may send, and headers that keep browsers careful.
import cors from '@fastify/cors';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { KEY_HEADER } from './admin-key-check.ts';
import { HttpProblem, notFound } from './http-problem.ts';
import type { Origins } from './origins.ts';

export interface ProtectionOptions {
  readonly corsOrigins: Origins;
  /** Requests a second of one address (IPv6: of one /64), ten times that at once; 0: no limit. */
  readonly ratePerSecond: number;
}

const RATE_WINDOW_S = 10;
/** Addresses counted at once; beyond it the one seen longest ago begins anew. */
const MAX_COUNTED_ADDRESSES = 10_000;
const PREFLIGHT_CACHE_S = 600;
/** Only what costs something is counted: not probes, not upgrades (they have a bound of their own), not the files of a page. */
const COUNTED = /^\/(?:api\/|metrics|openapi\.json)/;

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
  await app.register(cors, {
    origin: options.corsOrigins.includes('*') ? '*' : [...options.corsOrigins],
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    allowedHeaders: ['content-type', KEY_HEADER],
    exposedHeaders: ['retry-after'],
    maxAge: PREFLIGHT_CACHE_S,
  });
  await addRateLimit(app, options.ratePerSecond);
}

async function addRateLimit(app: FastifyInstance, ratePerSecond: number): Promise<void> {
  if (ratePerSecond === 0) {
    app.setNotFoundHandler(notFound);
    return;
  }
  await app.register(rateLimit, {
    max: ratePerSecond * RATE_WINDOW_S,
    timeWindow: RATE_WINDOW_S * 1000,
    cache: MAX_COUNTED_ADDRESSES,
    allowList: (request: FastifyRequest) => request.routeOptions.url !== undefined && !COUNTED.test(request.url),
    errorResponseBuilder: (_request, { after }) =>
      new HttpProblem(429, 'TOO_MANY_REQUESTS', `too many requests of this address; again in ${after}`),
  });
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, notFound);
}
