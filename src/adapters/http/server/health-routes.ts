// Probes as Teranode deployments and Kubernetes ask them, and metrics: texts, and the checks as JSON for whoever asks for that.
import type { FastifyInstance } from 'fastify';
import type { HealthCheck } from '../../../ports/health.ts';
import { HEALTH } from '../api/schemas.ts';
import type { AnswerCheck } from './answer-check.ts';

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

const PLAIN = 'text/plain; charset=utf-8';
/** Probes are answered however much else an address asks. */
const UNLIMITED = { rateLimit: false } as const;
/** A count of its own: what else comes from the address of a monitor does not shut it out. */
const COUNTED_APART = { rateLimit: {} } as const;

export function addHealthRoutes(app: FastifyInstance, sources: HttpSources, checkAnswer: AnswerCheck): void {
  app.get('/health', { config: UNLIMITED }, async (_request, reply) => reply.type(PLAIN).send('OK'));
  addProbe(app, sources, checkAnswer, { path: '/health/live', isLiveness: true });
  addProbe(app, sources, checkAnswer, { path: '/health/ready', isLiveness: false });
  app.get('/metrics', { config: COUNTED_APART }, async (_request, reply) => {
    const { contentType, body } = await sources.scrape();
    return reply.type(contentType).send(body);
  });
}

/** The two paths that deployments ask on an address of their own. */
export function addProbeRoutes(app: FastifyInstance, sources: HttpSources, checkAnswer: AnswerCheck): void {
  addProbe(app, sources, checkAnswer, { path: '/health/readiness', isLiveness: false });
  addProbe(app, sources, checkAnswer, { path: '/health/liveness', isLiveness: true });
}

function addProbe(
  app: FastifyInstance,
  sources: HttpSources,
  checkAnswer: AnswerCheck,
  { path, isLiveness }: { readonly path: string; readonly isLiveness: boolean },
): void {
  app.get(path, { config: UNLIMITED }, async (request, reply) => {
    const { status, message, checks } = await sources.health(isLiveness);
    const wantsJson = request.headers.accept?.includes('application/json') === true;
    if (!wantsJson) return reply.code(status).type(PLAIN).send(message);
    const answer = checkAnswer(path, HEALTH, { status: status === 200 ? 'ok' : 'failed', checks });
    return reply.code(status).send(answer);
  });
}
