// What holds for every request: which web pages may read the answer, how many one address may send, and headers that keep browsers careful.
import cors from '@fastify/cors';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import { KEY_HEADER } from '../api/admin-key-check.ts';
import { clientAddress } from './client-address.ts';
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
  await addRateLimit(app, options.ratePerSecond);
}

/**
 * Holds for every route that does not say otherwise in its `config`, however its path was spelled, and for paths that are none. It is the first
 * thing that a request of a route meets.
 */
async function addRateLimit(app: FastifyInstance, ratePerSecond: number): Promise<void> {
  await app.register(rateLimit, {
    max: ratePerSecond * RATE_WINDOW_S,
    timeWindow: RATE_WINDOW_S * 1000,
    cache: MAX_COUNTED_ADDRESSES,
    allowList: () => ratePerSecond === 0,
    keyGenerator: (request) => clientAddress(request.ip),
    errorResponseBuilder: (_request, { after }) =>
      new HttpProblem(429, 'TOO_MANY_REQUESTS', `too many requests of this address; again in ${after}`),
  });
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, notFound);
}

function noPreflight(): HttpProblem {
  return new HttpProblem(
    400,
    'REQUEST_INVALID',
    'OPTIONS is for web pages: with Origin and Access-Control-Request-Method',
  );
}
