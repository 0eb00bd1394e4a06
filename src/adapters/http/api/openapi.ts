// The OpenAPI document, made by @fastify/swagger from the schemas of the routes, which are the schemas that validate
// requests and responses. Made, and the library loaded, for the first request of the document: few nodes get one.
import { type FastifyInstance, fastify, type RouteOptions } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { KEY_HEADER } from '../../../settings/admin-key.ts';
import { NO_COMPILERS } from '../server/validation.ts';
import { problems } from './api.ts';
import type { RouteAccess } from './route-access.ts';

const OPENAPI_PATH = '/openapi.json';
const DESCRIPTION = [
  'What a P2P node sees and does. Times are Unix milliseconds. Every GET except the WebSocket also works as HEAD.',
  'Malformed, slow or oversized HTTP requests get 400, 408 or 431 and the connection is closed; unknown paths get 404.',
  'Every refusal is a Problem.',
].join(' ');

/** Makes the document of what the routes of `app` are by then. To be called before the routes are added, which it collects. */
export function collectOpenApi(
  app: FastifyInstance,
  access: RouteAccess,
  { version }: { readonly version: string },
): () => Promise<string> {
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => {
    routes.push(route);
  });
  return async () => await documentOf(routes, access, version);
}

/** The routes are described by a second application, which never listens: the library collects as routes are added. */
async function documentOf(routes: readonly RouteOptions[], access: RouteAccess, version: string): Promise<string> {
  const { default: fastifySwagger } = await import('@fastify/swagger');
  const app = fastify({ exposeHeadRoutes: false, schemaController: NO_COMPILERS });
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.0.3',
      info: { title: 'Teranode P2P', version, description: DESCRIPTION },
      components: {
        securitySchemes: {
          adminKey: {
            type: 'apiKey',
            in: 'header',
            name: KEY_HEADER,
            description: 'Admin key of the server: grpc_admin_api_key, or the contents of <dataFolder>/admin.key.',
          },
        },
      },
    },
    transform: (document) => {
      const { schema, route } = document;
      const asked = route.config?.access;
      if (access.needsKey(asked)) {
        const response = { ...(schema?.response as object), ...problems(401) };
        return jsonSchemaTransform({ ...document, schema: { ...schema, response, security: [{ adminKey: [] }] } });
      }
      if (asked === undefined) return jsonSchemaTransform(document);
      const response = { ...(schema?.response as object), ...problems(403) };
      return jsonSchemaTransform({ ...document, schema: { ...schema, response } });
    },
    transformObject: (document) => {
      const { components, ...rest } = jsonSchemaTransformObject(document) as Components;
      // Schemas with a name are made once for requests and once for responses; no request carries a Problem.
      const { ProblemInput: _unused, ...schemas } = components.schemas;
      return { ...rest, components: { ...components, schemas } };
    },
  });
  for (const { method, url, schema, config } of routes) {
    // Every GET works as HEAD, which the description says once.
    if (method === 'HEAD') continue;
    app.route({ method, url, ...(schema && { schema }), ...(config && { config }), handler: () => {} });
  }
  await app.ready();
  const document = JSON.stringify(app.swagger());
  await app.close();
  return document;
}

interface Components {
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

/** Which reads need the key is known once the server listens, so the document is made for the first request. */
export function addOpenApiRoute(app: FastifyInstance, makeDocument: () => Promise<string>): void {
  let document: Promise<string> | undefined;
  app.get(
    OPENAPI_PATH,
    {
      schema: {
        operationId: 'document',
        summary: 'This OpenAPI document.',
        tags: ['node'],
        response: { 200: z.looseObject({}).describe('The document.'), ...problems(429) },
      },
    },
    async (_request, reply) => {
      document ??= makeDocument();
      return reply.type('application/json; charset=utf-8').send(await document);
    },
  );
}
