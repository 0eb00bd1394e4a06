// `/p2p-ws`: checks a request before it becomes a WebSocket. Refusals are JSON.
import type { IncomingMessage } from 'node:http';
import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Logger } from '../../../ports/log.ts';
import { problems } from '../api/api.ts';
import { type Resumed, resume } from '../events/event-id.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { isAllowedOrigin, type Origins } from '../server/origins.ts';
import type { WebSocketHub } from './hub.ts';
import { parseFilter, type SubscriptionFilter, TYPE_NAMES, unknownType } from './types.ts';

const WEBSOCKET_PATH = '/p2p-ws';

/** Maximum size of a message from a client, which has no reason to send any; a larger one closes the connection. */
const MAX_MESSAGE_BYTES = 4096;
const MAX_FRAGMENTS = 16;
const RETRY_FULL_S = 30;
const RETRY_NOT_READY_S = 1;
/** 16 bytes in base64 (RFC 6455, 4.1). */
const KEY_FORM = /^[+/0-9A-Za-z]{22}==$/;
const VERSION = '13';

const WEBSOCKET_SCHEMA = {
  operationId: 'watch',
  tags: ['gossip'],
  summary:
    'WebSocket that streams what this node receives and sends, one JSON object per frame; its own status comes first.',
  querystring: z
    .object({
      types: z
        .array(z.enum(TYPE_NAMES))
        .optional()
        .describe(
          'Types to receive, separated by commas. Default: block,subtree,node_status, where go-p2p is spoken mining_on too.',
        ),
      since: z
        .string()
        .optional()
        .describe(
          'Id of the last event that was received: continues after it. Every frame but PING then has an id as last field.',
        ),
      ids: z.enum(['1']).optional().describe('Every frame but PING has an id as last field, also without since.'),
    })
    .meta({ style: 'form', explode: false }),
  response: { 101: z.undefined().describe('Switching Protocols.'), ...problems(400, 403, 426, 429, 503) },
};

export interface WebSocketRouteOptions {
  readonly origins: Origins;
  /** The client's address; undefined for a closed connection. */
  readonly ipOf: (request: FastifyRequest) => string | undefined;
}

interface Admitted {
  readonly filter: SubscriptionFilter;
  readonly first: Buffer;
  /** Of a client that asked for ids. */
  readonly resumed: Resumed | undefined;
}

/** Other upgrades (such as HTTP/2 over plain text, which Java offers) and other paths are ordinary requests. */
export function isWebSocketRequest({ method, url = '', headers }: IncomingMessage): boolean {
  const isPath = url === WEBSOCKET_PATH || url.startsWith(`${WEBSOCKET_PATH}?`);
  return method === 'GET' && isPath && headers.upgrade?.toLowerCase() === 'websocket';
}

export async function addWebSocketRoute(
  app: FastifyInstance,
  { hub, log }: { readonly hub: WebSocketHub; readonly log: Logger },
  options: WebSocketRouteOptions,
): Promise<void> {
  const limits = {
    maxPayload: MAX_MESSAGE_BYTES,
    maxFragments: MAX_FRAGMENTS,
    closeTimeout: hub.closeMs,
    perMessageDeflate: false,
    clientTracking: false,
  };
  // Before the plugin, so that the connection is tracked whatever the plugin does.
  app.server.on('upgrade', (_request, socket) => hub.upgrades.add(socket));
  await app.register(fastifyWebsocket, {
    options: limits,
    // Errors of established clients are handled by WsClient.
    errorHandler: (error, _ws, request) => {
      const { socket } = request.raw;
      if (!hub.upgrades.has(socket)) return;
      log.warn({ err: error }, 'failed to upgrade to a WebSocket');
      hub.upgrades.fail(socket, 'error');
    },
    // By then the hub has closed its clients.
    preClose: (done) => done(),
  });
  const admitted = new WeakMap<IncomingMessage, Admitted>();
  app.route({
    method: 'GET',
    url: WEBSOCKET_PATH,
    exposeHeadRoute: false,
    // Clients have limits of their own.
    config: { rateLimit: false },
    schema: WEBSOCKET_SCHEMA,
    // The schema only documents: `parseFilter` reads the query, after the handshake is checked.
    validatorCompiler: () => () => true,
    preValidation: async (request) => {
      admitted.set(request.raw, await admit(request, hub, options));
    },
    handler: async () => {
      throw upgradeRequired();
    },
    wsHandler: (ws, request) => {
      const entry = admitted.get(request.raw);
      if (entry === undefined) throw new TypeError('a WebSocket was opened without admission');
      hub.adopt(ws, request.raw.socket, entry.filter, entry.first, entry.resumed);
    },
  });
}

/** Throws HttpProblem. */
async function admit(request: FastifyRequest, hub: WebSocketHub, options: WebSocketRouteOptions): Promise<Admitted> {
  checkHandshake(request);
  if (!isAllowedOrigin(options.origins, request.headers.origin)) {
    throw new HttpProblem(403, 'FORBIDDEN', 'origin not allowed (see the setting p2p_ws_origins)');
  }
  const filter = filterOf(request, hub);
  const resumed = resumedOf(request, hub, filter);
  const slot = hub.reserve(request.raw.socket, options.ipOf(request));
  if (slot !== 'taken') throw noSlot(hub, slot);
  const first = await hub.first(resumed);
  if (first === undefined) {
    throw new HttpProblem(503, 'NOT_READY', 'the status of this node is not known yet', {
      'retry-after': String(RETRY_NOT_READY_S),
    });
  }
  return { filter, first, resumed };
}

function checkHandshake(request: FastifyRequest): void {
  const { headers, httpVersion } = request.raw;
  if (!request.ws) throw upgradeRequired();
  if (httpVersion !== '1.1')
    throw new HttpProblem(
      400,
      'REQUEST_INVALID',
      `unsupported HTTP version ${httpVersion} (a WebSocket needs HTTP/1.1)`,
    );
  if (headers['sec-websocket-version'] !== VERSION) {
    throw new HttpProblem(426, 'UPGRADE_REQUIRED', `unsupported Sec-WebSocket-Version (expected ${VERSION})`, {
      'sec-websocket-version': VERSION,
    });
  }
  if (!KEY_FORM.test(headers['sec-websocket-key'] ?? '')) {
    throw new HttpProblem(400, 'REQUEST_INVALID', 'invalid Sec-WebSocket-Key (expected 16 bytes in base64)');
  }
}

function filterOf(request: FastifyRequest, hub: WebSocketHub): SubscriptionFilter {
  const { types } = request.query as { types?: string | string[] };
  const filter = parseFilter(types, hub.defaultTypes);
  if ('unknown' in filter) throw unknownType(filter.unknown);
  return filter;
}

/** undefined for a client that gets the frames of the Go service. */
function resumedOf(
  request: FastifyRequest,
  { feed }: WebSocketHub,
  { types }: SubscriptionFilter,
): Resumed | undefined {
  const { since, ids } = request.query as Readonly<Record<string, string | string[] | undefined>>;
  if (feed === undefined || (since === undefined && ids === undefined)) return undefined;
  return resume(feed, types, since?.toString(), 'query/since');
}

function noSlot(hub: WebSocketHub, reason: 'full' | 'address_full'): HttpProblem {
  const [status, message] =
    reason === 'full'
      ? [503, `too many WebSocket clients (limit ${hub.maxClients})`]
      : [429, `too many WebSocket clients from this address (limit ${hub.maxPerAddress})`];
  return new HttpProblem(status, 'TOO_MANY_CLIENTS', message, { 'retry-after': String(RETRY_FULL_S) });
}

function upgradeRequired(): HttpProblem {
  return new HttpProblem(426, 'UPGRADE_REQUIRED', 'this path is a WebSocket (connect with ws:// or wss://)', {
    upgrade: 'websocket',
    connection: 'Upgrade',
  });
}
