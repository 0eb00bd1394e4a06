// `/api/v1/events`: the events of this node as Server-Sent Events, from where a client stopped.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { EventFeed } from '../../../domain/event-feed.ts';
import { NOTIFICATION_TYPES } from '../../../domain/notification.ts';
import { problems } from '../api/api.ts';
import { HttpProblem } from '../server/http-problem.ts';
import type { WsSlots } from '../websocket/slots.ts';
import { parseFilter, TYPE_NAMES, unknownType } from '../websocket/types.ts';
import { resume } from './event-id.ts';
import { EVENT } from './event-schema.ts';
import type { EventStreams } from './event-streams.ts';

const RETRY_FULL_S = 30;
/** The longest that Fastify allows; clients resume. */
const STREAM_TIMEOUT_MS = 2 ** 31 - 1;

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // For nginx, which would keep events until its buffer is full.
  'x-accel-buffering': 'no',
  connection: 'close',
} as const;

const SCHEMA = {
  operationId: 'streamEvents',
  tags: ['gossip'],
  summary: 'Streams what this node receives and sends as Server-Sent Events, from after a known event.',
  description:
    'Each event has its type as name and an Event as data. A client that connects again sends the id of its last event in Last-Event-ID, which takes precedence, or in since; without one it gets what happens from now on. An event named lost says what is missing.',
  querystring: z
    .object({
      types: z.array(z.enum(TYPE_NAMES)).optional().describe('Types to receive, separated by commas. Default: all.'),
      since: z.string().optional().describe('Id of the last event that was received.'),
    })
    .meta({ style: 'form', explode: false }),
  response: {
    200: { description: 'The events.', content: { 'text/event-stream': { schema: EVENT } } },
    ...problems(400, 429, 500, 503),
  },
};

export interface EventRouteOptions {
  readonly feed: EventFeed;
  readonly streams: EventStreams;
  /** Shared with WebSockets. */
  readonly slots: Pick<WsSlots, 'take'>;
  /** The client's address; undefined for a closed connection. */
  readonly ipOf: (request: FastifyRequest) => string | undefined;
}

export function addEventRoute(app: FastifyInstance, options: EventRouteOptions): void {
  const { feed, streams, slots, ipOf } = options;
  app.route({
    method: 'GET',
    url: '/api/v1/events',
    handlerTimeout: STREAM_TIMEOUT_MS,
    config: { access: 'events' },
    schema: SCHEMA,
    // The schema only documents: `types` is read as by the WebSocket.
    validatorCompiler: () => () => true,
    handler: async (request, reply) => {
      const { types, since } = request.query as Readonly<Record<string, string | string[] | undefined>>;
      const filter = parseFilter(types, NOTIFICATION_TYPES);
      if ('unknown' in filter) throw unknownType(filter.unknown);
      const header = request.headers['last-event-id'];
      const resumed =
        header === undefined || header === ''
          ? resume(feed, filter.types, since?.toString(), 'query/since')
          : resume(feed, filter.types, String(header), 'header last-event-id');
      if (request.method === 'HEAD') return reply.headers(HEADERS).send();
      const slot = slots.take(request.raw.socket, ipOf(request));
      if (slot !== 'taken') throw noSlot(slot);
      return reply.headers(HEADERS).send(streams.open(resumed));
    },
  });
}

function noSlot(reason: 'full' | 'address_full'): HttpProblem {
  const retry = { 'retry-after': String(RETRY_FULL_S) };
  if (reason === 'full') return new HttpProblem(503, 'TOO_MANY_CLIENTS', 'too many clients of streams', retry);
  return new HttpProblem(429, 'TOO_MANY_CLIENTS', 'too many clients of streams from this address', retry);
}
