// The operations of the API as routes: validated by their schemas, changes behind the admin key, the document beside them.
import type { FastifyInstance } from 'fastify';
import type { NodeView } from '../../ports/node-view.ts';
import { adminKeyCheck } from './admin-key-check.ts';
import { banOperations } from './api-bans.ts';
import { nodeOperations } from './api-node.ts';
import { peerOperations } from './api-peers.ts';
import { openApiDocument } from './openapi.ts';
import { jsonSchema, type Operation } from './operation.ts';

export interface ApiSources {
  readonly view: NodeView;
  /** The one of gRPC. */
  readonly adminKey: string;
  /** Of this program, for the document. */
  readonly version: string;
}

export const OPENAPI_PATH = '/openapi.json';

export function addApiRoutes(app: FastifyInstance, { view, adminKey, version }: ApiSources): void {
  const operations = [...peerOperations(view), ...banOperations(view), ...nodeOperations(view)];
  const checkKey = adminKeyCheck(adminKey);
  for (const each of operations) addRoute(app, each, checkKey);
  const document = JSON.stringify(openApiDocument(operations, version));
  app.get(OPENAPI_PATH, async (_request, reply) => reply.type('application/json; charset=utf-8').send(document));
}

function addRoute(app: FastifyInstance, each: Operation, checkKey: ReturnType<typeof adminKeyCheck>): void {
  const { method, path, params, query, body, answer } = each;
  app.route({
    method,
    url: path,
    onRequest: each.needsKey ? [checkKey] : [],
    schema: {
      ...(params === undefined ? {} : { params: jsonSchema(params, 'input') }),
      ...(query === undefined ? {} : { querystring: jsonSchema(query, 'input') }),
      ...(body === undefined ? {} : { body: jsonSchema(body, 'input') }),
      response: { 200: jsonSchema(answer, 'output') },
    },
    handler: async (request, reply) => {
      reply.header('cache-control', 'no-store');
      return await each.run({ params: request.params, query: request.query, body: request.body });
    },
  });
}
