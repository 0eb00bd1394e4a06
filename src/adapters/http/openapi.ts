// The OpenAPI 3 document, made from the operations themselves; what is no JSON (probes, metrics, the WebSocket) is told beside them.
import { STATUS_CODES } from 'node:http';
import { KEY_HEADER } from './admin-key-check.ts';
import { PROBLEM } from './http-problem.ts';
import { jsonSchema, type Operation } from './operation.ts';
import { TYPE_NAMES } from './ws-types.ts';

type Json = Record<string, unknown>;

/** Refusals that any request may have. */
const ALWAYS = [429, 500];
const TEXT = 'text/plain';

export function openApiDocument(operations: readonly Operation[], version: string): Json {
  const paths: Record<string, Json> = { ...otherPaths() };
  for (const each of operations) {
    const path = each.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [each.method.toLowerCase()]: described(each) };
  }
  return {
    openapi: '3.0.3',
    info: {
      title: 'Teranode P2P',
      version,
      description: 'What a P2P node sees and does. Times are Unix milliseconds.',
    },
    paths,
    components: {
      schemas: { Problem: jsonSchema(PROBLEM, 'output') },
      securitySchemes: {
        adminKey: { type: 'apiKey', in: 'header', name: KEY_HEADER, description: 'grpc_admin_api_key of the server.' },
      },
    },
  };
}

function described(each: Operation): Json {
  const hasInput = each.params !== undefined || each.query !== undefined || each.body !== undefined;
  const refusals = [...(hasInput ? [400] : []), ...(each.needsKey ? [401] : []), ...each.refusals, ...ALWAYS];
  const parameters = [...parametersOf(each.params, 'path'), ...parametersOf(each.query, 'query')];
  return {
    operationId: each.id,
    summary: each.summary,
    tags: [each.area],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(each.body === undefined
      ? {}
      : { requestBody: { required: true, content: json(jsonSchema(each.body, 'input')) } }),
    responses: {
      200: { description: 'Done.', content: json(jsonSchema(each.answer, 'output')) },
      ...problems(refusals),
    },
    ...(each.needsKey ? { security: [{ adminKey: [] }] } : {}),
  };
}

function parametersOf(schema: Operation['params'], place: 'path' | 'query'): Json[] {
  if (schema === undefined) return [];
  const { properties, required = [] } = jsonSchema(schema, 'input') as {
    properties: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }));
}

function json(schema: Json): Json {
  return { 'application/json': { schema } };
}

function problems(statuses: readonly number[]): Json {
  const content = json({ $ref: '#/components/schemas/Problem' });
  return Object.fromEntries(
    statuses.map((status) => [status, { description: `${STATUS_CODES[status] ?? 'Refused'}.`, content }]),
  );
}

function text(id: string, summary: string, refusals: readonly number[] = []): Json {
  const content = { [TEXT]: { schema: { type: 'string' } } };
  const refused = refusals.map((status) => [status, { description: `${STATUS_CODES[status]}.`, content }]);
  return {
    get: {
      operationId: id,
      summary,
      tags: ['node'],
      responses: { 200: { description: 'OK.', content }, ...Object.fromEntries(refused) },
    },
  };
}

function otherPaths(): Record<string, Json> {
  return {
    '/health': text('health', 'OK, as Go answers.'),
    '/health/live': text('live', 'The process answers.'),
    '/health/ready': text('ready', 'Every check with its state; as JSON when asked for application/json.', [503]),
    '/metrics': text('metrics', 'Metrics in the text format of Prometheus.'),
    '/openapi.json': {
      get: {
        operationId: 'document',
        summary: 'This document.',
        tags: ['node'],
        responses: { 200: { description: 'OK.', content: json({ type: 'object' }) } },
      },
    },
    '/p2p-ws': {
      get: {
        operationId: 'watch',
        summary: 'A WebSocket: this node’s own status, then what happens on the network, a JSON object a frame.',
        tags: ['gossip'],
        parameters: [
          {
            name: 'types',
            in: 'query',
            required: false,
            description: 'Types wanted, separated by commas; default block,subtree,mining_on,node_status.',
            style: 'form',
            explode: false,
            schema: { type: 'array', items: { type: 'string', enum: [...TYPE_NAMES] } },
          },
        ],
        responses: { 101: { description: 'Switching Protocols.' }, ...problems([400, 403, 426, 503]) },
      },
    },
  };
}
