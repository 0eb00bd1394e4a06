// Health checks as Teranode deployments and Kubernetes request them, and metrics: as text, and health as JSON on
// request.
import type { FastifyInstance } from 'fastify';
import type { HealthCheck } from '../../../ports/health.ts';
import { problems, TEXT_CONTENT } from '../api/api.ts';
import { HEALTH } from '../api/schemas.ts';

/** What these routes answer with; given by the server. */
export interface HttpSources {
  /** Spec: Health. Settles within its own deadline. */
  health(checkLiveness: boolean): Promise<{
    readonly status: number;
    readonly message: string;
    readonly checks: readonly HealthCheck[];
  }>;
  scrape(): Promise<{ readonly contentType: string; readonly body: string }>;
}

const TEXT_TYPE = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';
/** Health checks are answered however many other requests an address sends. */
const UNLIMITED = { rateLimit: false } as const;
/** Counted apart from other requests, so that these do not lock out a monitoring system on the same address. */
const METRICS = { rateLimit: {}, access: 'metrics' } as const;

function addPlainHealth(app: FastifyInstance): void {
  app.get(
    '/health',
    {
      config: UNLIMITED,
      schema: {
        operationId: 'health',
        tags: ['node'],
        summary: 'Responds with OK, as the Go service does.',
        response: { 200: { description: 'OK.', content: TEXT_CONTENT } },
      },
    },
    async (_request, reply) => reply.type(TEXT_TYPE).send('OK'),
  );
}

export function addHealthRoutes(app: FastifyInstance, sources: HttpSources): void {
  addPlainHealth(app);
  const isAlive = 'Checks whether the process responds';
  const isReady = 'Checks whether everything that this node depends on responds';
  addProbe(app, sources, { path: '/health/live', id: 'live', summary: isAlive, isLiveness: true });
  addProbe(app, sources, { path: '/health/ready', id: 'ready', summary: isReady, isLiveness: false });
  addMetrics(app, sources);
}

/** The paths that deployments request on an address of their own. */
export function addProbeRoutes(app: FastifyInstance, sources: HttpSources): void {
  addPlainHealth(app);
  addProbe(app, sources, { path: '/health/readiness', id: 'ready', summary: '', isLiveness: false });
  addProbe(app, sources, { path: '/health/liveness', id: 'live', summary: '', isLiveness: true });
}

function addMetrics(app: FastifyInstance, sources: HttpSources): void {
  app.get(
    '/metrics',
    {
      config: METRICS,
      schema: {
        operationId: 'metrics',
        tags: ['node'],
        summary: 'Returns metrics in the text format of Prometheus.',
        response: { 200: { description: 'The metrics.', content: TEXT_CONTENT }, ...problems(429, 500, 504) },
      },
    },
    async (_request, reply) => {
      const { contentType, body } = await sources.scrape();
      return reply.type(contentType).send(body);
    },
  );
}

interface Probe {
  readonly path: string;
  readonly id: string;
  readonly summary: string;
  readonly isLiveness: boolean;
}

function addProbe(app: FastifyInstance, sources: HttpSources, { path, id, summary, isLiveness }: Probe): void {
  app.get(
    path,
    {
      config: UNLIMITED,
      schema: {
        operationId: id,
        tags: ['node'],
        summary: `${summary}. With accept: application/json it lists every check.`,
        response: { 200: report('Healthy.'), 503: report('Unhealthy.'), ...problems(500, 504) },
      },
    },
    async (request, reply) => {
      const { status, message, checks } = await sources.health(isLiveness);
      reply.code(status === 200 ? 200 : 503);
      const wantsJson = request.headers.accept?.includes('application/json') === true;
      if (!wantsJson) return reply.type(TEXT_TYPE).send(message);
      return reply.type(JSON_TYPE).send({ status: status === 200 ? 'ok' : 'failed', checks });
    },
  );
}

function report(description: string): object {
  return { description, content: { ...TEXT_CONTENT, 'application/json': { schema: HEALTH } } };
}
