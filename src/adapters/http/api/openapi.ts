// The OpenAPI 3 document, made from the operations themselves; what is none (probes, metrics, the WebSocket) is told beside them.
import { STATUS_CODES } from 'node:http';
import { PROBLEM } from '../server/http-problem.ts';
import { TYPE_NAMES } from '../websocket/types.ts';
import { KEY_HEADER } from './admin-key-check.ts';
import { jsonSchema, type Operation } from './operation.ts';
import { HEALTH } from './schemas.ts';

type Json = Record<string, unknown>;

/** Refusals that every operation may have: too many requests, a fault of ours, a node that has not started, no answer in time. */
const ALWAYS = [429, 500, 503, 504];
/** Of what may have a body: no JSON, too large, of another type. */
const OF_BODIES = [400, 413, 415];
/** Of what has parameters in its path: wrong, too long. */
const OF_PATHS = [400, 414];
const DESCRIPTION = [
  'What a P2P node sees and does. Times are Unix milliseconds. Every GET but that of the WebSocket may be asked as HEAD.',
  'What is no HTTP request, or too slow or too large as such, is answered 400, 408 or 431 and the connection closed;',
  'a path that is none, 404. Every refusal is a Problem.',
].join(' ');

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
      description: DESCRIPTION,
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
  const refusals = [
    ...(each.method === 'GET' ? [] : OF_BODIES),
    ...(each.params === undefined ? [] : OF_PATHS),
    ...(each.query === undefined ? [] : [400]),
    ...(each.needsKey ? [401] : []),
    ...each.refusals,
    ...ALWAYS,
  ];
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

/** An operation without input, beside the API. */
function plain(id: string, summary: string, responses: Json): Json {
  return { get: { operationId: id, summary, tags: ['node'], responses } };
}

function text(): Json {
  return { 'text/plain': { schema: { type: 'string' } } };
}

function probe(id: string, summary: string): Json {
  const content = { ...text(), ...json(jsonSchema(HEALTH, 'output')) };
  return plain(id, `${summary}; with every check when asked for application/json.`, {
    200: { description: 'It is.', content },
    503: { description: 'It is not.', content },
    ...problems([500, 504]),
  });
}

function otherPaths(): Record<string, Json> {
  return {
    '/health': plain('health', 'OK, as Go answers.', { 200: { description: 'OK.', content: text() } }),
    '/health/live': probe('live', 'Whether the process moves'),
    '/health/ready': probe('ready', 'Whether all that this node depends on answers'),
    '/metrics': plain('metrics', 'Metrics in the text format of Prometheus.', {
      200: { description: 'OK.', content: text() },
      ...problems([429, 500, 504]),
    }),
    '/openapi.json': plain('document', 'This document.', {
      200: { description: 'OK.', content: json({ type: 'object' }) },
      ...problems([429]),
    }),
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
        responses: { 101: { description: 'Switching Protocols.' }, ...problems([400, 403, 426, 429, 503]) },
      },
    },
  };
}
