// Probes as Teranode deployments and Kubernetes ask them, and metrics: texts, and readiness as JSON for whoever asks for that.
import type { FastifyInstance } from 'fastify';
import type { HealthCheck } from '../../ports/node-view.ts';

/** What these routes answer with; given by the server. */
export interface HttpSources {
  /** Spec: Health. Settles within its own deadline. */
  health(checkLiveness: boolean): Promise<{
    readonly status: number;
    readonly message: string;
    /** Of readiness. */
    readonly checks?: readonly HealthCheck[];
  }>;
  scrape(): Promise<{ readonly contentType: string; readonly body: string }>;
}

const PLAIN = 'text/plain; charset=utf-8';

export function addHealthRoutes(app: FastifyInstance, sources: HttpSources): void {
  app.get('/health', async (_request, reply) => reply.type(PLAIN).send('OK'));
  addProbe(app, sources, '/health/live', true);
  addProbe(app, sources, '/health/ready', false);
  app.get('/metrics', async (_request, reply) => {
    const { contentType, body } = await sources.scrape();
    return reply.type(contentType).send(body);
  });
}

/** The two paths that deployments ask on an address of their own. */
export function addProbeRoutes(app: FastifyInstance, sources: HttpSources): void {
  addProbe(app, sources, '/health/readiness', false);
  addProbe(app, sources, '/health/liveness', true);
}

function addProbe(app: FastifyInstance, sources: HttpSources, path: string, checkLiveness: boolean): void {
  app.get(path, async (request, reply) => {
    const { status, message, checks } = await sources.health(checkLiveness);
    const wantsJson = request.headers.accept?.includes('application/json') === true;
    if (!wantsJson) return reply.code(status).type(PLAIN).send(message);
    return reply.code(status).send({ status: status === 200 ? 'ok' : 'failed', checks: checks ?? [] });
  });
}
