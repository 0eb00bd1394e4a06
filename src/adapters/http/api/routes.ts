// The operations of the API as routes: what comes and what is answered is held against their schemas, changes are behind the admin key, the document
// is beside them.
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import type { AdminApi } from '../../../ports/admin-api.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import type { AnswerCheck } from '../server/answer-check.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { adminKeyCheck } from './admin-key-check.ts';
import { banOperations } from './bans.ts';
import { nodeOperations } from './node.ts';
import { openApiDocument } from './openapi.ts';
import { jsonSchema, type Operation } from './operation.ts';
import { peerOperations } from './peers.ts';

export interface ApiSources {
  readonly admin: AdminApi;
  /** The one of gRPC. */
  readonly adminKey: string;
  /** Of this program, for the document. */
  readonly version: string;
}

interface RouteChecks {
  readonly key: ReturnType<typeof adminKeyCheck>;
  readonly answer: AnswerCheck;
}

export const OPENAPI_PATH = '/openapi.json';
/** What is wrong with a body is told, what stands in it is not repeated at length. */
const MAX_OBJECTION_CHARS = 300;

export function addApiRoutes(
  app: FastifyInstance,
  deps: { readonly log: Logger; readonly clock: Clock; readonly checkAnswer: AnswerCheck },
  { admin, adminKey, version }: ApiSources,
): void {
  const operations = [...peerOperations(admin), ...banOperations(admin), ...nodeOperations(admin)];
  const checks = { key: adminKeyCheck(deps, { adminKey }), answer: deps.checkAnswer };
  for (const each of operations) addRoute(app, each, checks);
  const document = JSON.stringify(openApiDocument(operations, version));
  app.get(OPENAPI_PATH, async (_request, reply) => reply.type('application/json; charset=utf-8').send(document));
}

function addRoute(app: FastifyInstance, each: Operation, checks: RouteChecks): void {
  const { method, path, params, query, body, answer } = each;
  app.route({
    method,
    url: path,
    // After the rate limit, which is a hook of `onRequest`, and before the body is read.
    preParsing: async (request, _reply, payload) => {
      if (each.needsKey) checks.key(request);
      return payload;
    },
    schema: {
      ...(params === undefined ? {} : { params: jsonSchema(params, 'input') }),
      ...(query === undefined ? {} : { querystring: jsonSchema(query, 'input') }),
      response: { 200: jsonSchema(answer, 'output') },
    },
    handler: async (request, reply) => {
      reply.header('cache-control', 'no-store');
      const input = { params: request.params, query: request.query, body: checkedBody(body, request.body) };
      return checks.answer(path, answer, await each.run(input));
    },
  });
}

/** As it is: in JSON a number is a number. Throws HttpProblem. */
function checkedBody(schema: z.ZodType | undefined, body: unknown): unknown {
  const result = schema?.safeParse(body);
  if (result === undefined || result.success) return result?.data;
  const objections = result.error.issues.map(({ path, message }) => `${['body', ...path].join('/')}: ${message}`);
  throw new HttpProblem(400, 'INPUT_INVALID', objections.join('; ').slice(0, MAX_OBJECTION_CHARS));
}
