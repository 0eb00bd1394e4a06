// `/p2p-ws`: what an upgrade must be before it is one. Whatever is wrong is refused as JSON, to that one connection, and nobody else notices.
import type { IncomingMessage } from 'node:http';
import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Logger } from '../../../ports/log.ts';
import { problems } from '../api/api.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { isAllowedOrigin, type Origins } from '../server/origins.ts';
import type { WebSocketHub } from './hub.ts';
import { parseWish, TYPE_NAMES, type Wish } from './types.ts';

const WEBSOCKET_PATH = '/p2p-ws';

/** Clients have nothing to say; this much is read of one message before the connection is closed. */
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
        .describe('Types to receive, separated by commas. Default: block,subtree,mining_on,node_status.'),
    })
    .meta({ style: 'form', explode: false }),
  response: { 101: z.undefined().describe('Switching Protocols.'), ...problems(400, 403, 426, 429, 503) },
};

interface Admitted {
  readonly wish: Wish;
  readonly first: Buffer;
}

/** Other upgrades (HTTP/2 on plain text, as Java offers it) and other paths are plain requests. */
export function isWebSocketRequest({ method, url = '', headers }: IncomingMessage): boolean {
  const isPath = url === WEBSOCKET_PATH || url.startsWith(`${WEBSOCKET_PATH}?`);
  return method === 'GET' && isPath && headers.upgrade?.toLowerCase() === 'websocket';
}

export async function addWebSocketRoute(
  app: FastifyInstance,
  { hub, log }: { readonly hub: WebSocketHub; readonly log: Logger },
  options: { readonly origins: Origins },
): Promise<void> {
  const limits = {
    maxPayload: MAX_MESSAGE_BYTES,
    maxFragments: MAX_FRAGMENTS,
    closeTimeout: hub.closeMs,
    perMessageDeflate: false,
    clientTracking: false,
  };
  // Before the plugin, so that it is known whatever happens there.
  app.server.on('upgrade', (_request, socket) => hub.upgrades.add(socket));
  await app.register(fastifyWebsocket, {
    options: limits,
    // Clients give the reason of their own end.
    errorHandler: (error, _ws, request) => {
      const { socket } = request.raw;
      if (!hub.upgrades.has(socket)) return;
      log.warn({ err: error }, 'websocket upgrade failed');
      hub.upgrades.fail(socket, 'error');
    },
    // The hub has closed its clients by then.
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
    // The schema only documents: `parseWish` reads the query, after the handshake is checked.
    validatorCompiler: () => () => true,
    preValidation: async (request) => {
      admitted.set(request.raw, await admit(request, hub, options.origins));
    },
    handler: async () => {
      throw upgradeRequired();
    },
    wsHandler: (ws, request) => {
      const entry = admitted.get(request.raw);
      if (entry === undefined) throw new TypeError('an upgrade that was not admitted');
      hub.adopt(ws, request.raw.socket, entry.wish, entry.first);
    },
  });
}

/** Throws HttpProblem. */
async function admit(request: FastifyRequest, hub: WebSocketHub, origins: Origins): Promise<Admitted> {
  checkHandshake(request);
  if (!isAllowedOrigin(origins, request.headers.origin)) {
    throw new HttpProblem(403, 'FORBIDDEN', 'this origin may not connect; the setting p2p_ws_origins says which may');
  }
  const wish = wishOf(request);
  const place = hub.reserve(request.raw.socket);
  if (place !== 'taken') throw noPlace(hub, place);
  const first = await hub.status.frame();
  if (first === undefined) {
    throw new HttpProblem(503, 'NOT_READY', 'this node has no status to tell yet', {
      'retry-after': String(RETRY_NOT_READY_S),
    });
  }
  return { wish, first };
}

function checkHandshake(request: FastifyRequest): void {
  const { headers, httpVersion } = request.raw;
  if (!request.ws) throw upgradeRequired();
  if (httpVersion !== '1.1') throw new HttpProblem(400, 'REQUEST_INVALID', 'a WebSocket begins with HTTP/1.1');
  if (headers['sec-websocket-version'] !== VERSION) {
    throw new HttpProblem(426, 'UPGRADE_REQUIRED', `Sec-WebSocket-Version must be ${VERSION}`, {
      'sec-websocket-version': VERSION,
    });
  }
  if (!KEY_FORM.test(headers['sec-websocket-key'] ?? '')) {
    throw new HttpProblem(400, 'REQUEST_INVALID', 'Sec-WebSocket-Key must be 16 bytes in base64');
  }
}

function wishOf(request: FastifyRequest): Wish {
  const { types } = request.query as { types?: string | string[] };
  const wish = parseWish(typeof types === 'string' ? types : types?.join(','));
  if (!('unknown' in wish)) return wish;
  const given = wish.unknown.slice(0, 50);
  throw new HttpProblem(400, 'INPUT_INVALID', `types: ${given} is none of ${TYPE_NAMES.join(', ')}`);
}

function noPlace(hub: WebSocketHub, place: 'full' | 'address_full'): HttpProblem {
  const [status, message] =
    place === 'full'
      ? [503, `all ${hub.maxClients} places for WebSocket clients are taken`]
      : [429, `all ${hub.maxPerAddress} places for WebSocket clients of one address are taken`];
  return new HttpProblem(status, 'TOO_MANY_CLIENTS', message, { 'retry-after': String(RETRY_FULL_S) });
}

function upgradeRequired(): HttpProblem {
  return new HttpProblem(426, 'UPGRADE_REQUIRED', 'this is a WebSocket: connect with ws:// or wss://', {
    upgrade: 'websocket',
    connection: 'Upgrade',
  });
}
