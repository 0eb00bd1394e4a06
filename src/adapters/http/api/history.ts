// API routes for what this node keeps of the past.
import { z } from 'zod';
import type { AdminApi } from '../../../ports/admin-api.ts';
import type { HistoryRange } from '../../../ports/history-store.ts';
import { type Api, answers, OF_QUERY } from './api.ts';

const count = z.number().min(0);
const unixMs = count.describe('Unix time in milliseconds.');
/** The largest number that is exact. */
const MAX_MS = Number.MAX_SAFE_INTEGER;

/** A week has 168. Each has dozens of counts, and SQLite reads them while nothing else runs. */
const MAX_HOURS = 200;
const limitTo = (max: number) =>
  z.coerce.number().int().min(1).max(max).default(100).describe('Maximum number of entries, the latest ones.');

const RANGE = z.object({
  from: z.coerce.number().int().min(0).max(MAX_MS).default(0).describe('Unix time in milliseconds, included.'),
  to: z.coerce.number().int().min(0).max(MAX_MS).default(MAX_MS).describe('Likewise.'),
  limit: limitTo(1000),
});

const BLOCK = z
  .object({
    hash: z.string(),
    height: count.describe('As its first author announced it.'),
    author: z.string().describe('Peer that announced it first, as this node saw it.'),
    clientName: z.string().optional().describe('Name that this peer gave itself.'),
    receivedFrom: z.string().optional().describe('Peer that sent that announcement to this node; absent for our own.'),
    firstSeenMs: unixMs,
    announcers: count.describe('Number of authors that announced it within ten minutes.'),
  })
  .describe('A block that was announced.');

const HOUR = z
  .object({
    hourMs: unixMs.describe('Its beginning, in Unix milliseconds.'),
    peers: count.describe('Connected peers at its end.'),
    tipHeight: count.optional().describe('Height of our own best block at its end.'),
    lag: count.optional().describe('How many blocks that was below the best block that most peers claimed.'),
    reorgs: count.describe('Reorganisations of our own chain.'),
    messages: z
      .array(
        z.object({
          topic: z.string(),
          result: z.string().describe('processed, or the name of the validator that stopped them.'),
          count,
        }),
      )
      .describe('Gossip messages by topic and validation result.'),
  })
  .describe('An hour; the current one so far.');

export function addHistoryRoutes(api: Api, admin: AdminApi): void {
  api.route({
    method: 'GET',
    url: '/api/v1/history/blocks',
    config: { access: 'history' },
    schema: {
      operationId: 'listHistoryBlocks',
      tags: ['history'],
      summary: 'Lists blocks by the time of their first announcement, latest first. Needs p2p_history_days.',
      querystring: RANGE,
      response: answers(z.object({ blocks: z.array(BLOCK) }).describe('The blocks.'), ...OF_QUERY, 404),
    },
    handler: async ({ query }) => ({ blocks: [...(await admin.historyBlocks(rangeOf(query)))] }),
  });
  api.route({
    method: 'GET',
    url: '/api/v1/history/hours',
    config: { access: 'history' },
    schema: {
      operationId: 'listHistoryHours',
      tags: ['history'],
      summary: 'Lists hourly counts, latest first. Needs p2p_history_days.',
      querystring: RANGE.extend({ limit: limitTo(MAX_HOURS) }),
      response: answers(z.object({ hours: z.array(HOUR) }).describe('The hours.'), ...OF_QUERY, 404),
    },
    handler: async ({ query }) => {
      const hours = await admin.historyHours(rangeOf(query));
      return { hours: hours.map((hour) => ({ ...hour, messages: [...hour.messages] })) };
    },
  });
}

function rangeOf({ from, to, limit }: z.output<typeof RANGE>): HistoryRange {
  return { fromMs: from, toMs: to, limit };
}
