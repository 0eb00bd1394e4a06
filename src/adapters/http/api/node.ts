// API routes for this node itself, and for what it received and sent lately.
import { z } from 'zod';
import { type AdminApi, MAX_RECENT, type RecentAnnouncement, type SyncView } from '../../../ports/admin-api.ts';
import { type Api, answers, OF_QUERY } from './api.ts';
import { ANNOUNCEMENT, SETTING, SYNC, TOPIC, VERDICT } from './schemas.ts';

const RECENT = z.object({
  limit: z.coerce.number().int().min(1).max(MAX_RECENT).default(100).describe('Maximum number of entries to return.'),
});

export function addNodeRoutes(api: Api, admin: AdminApi): void {
  addState(api, admin);
  addTopics(api, admin);
  addRecent(api, admin);
}

function addState(api: Api, admin: AdminApi): void {
  api.route({
    method: 'GET',
    url: '/api/v1/sync',
    config: { access: 'sync' },
    schema: {
      operationId: 'getSync',
      tags: ['node'],
      summary: "Returns this node's FSM state and best block, the peer it syncs from, and why that peer.",
      response: answers(SYNC),
    },
    handler: async () => syncAnswer(await admin.sync()),
  });
  api.route({
    method: 'GET',
    url: '/api/v1/settings',
    config: { access: 'settings' },
    schema: {
      operationId: 'listSettings',
      tags: ['node'],
      summary: 'Lists the settings in force. Secrets are masked.',
      response: answers(z.object({ settings: z.array(SETTING) }).describe('All settings.')),
    },
    handler: async () => ({ settings: [...admin.settings()] }),
  });
}

function addTopics(api: Api, admin: AdminApi): void {
  api.route({
    method: 'GET',
    url: '/api/v1/topics',
    config: { access: 'topics' },
    schema: {
      operationId: 'listTopics',
      tags: ['gossip'],
      summary: 'Lists the gossip topics with their subscribers and mesh peers.',
      response: answers(z.object({ topics: z.array(TOPIC) }).describe('All topics of this node.')),
    },
    handler: async () => ({
      topics: admin
        .topics()
        .map(({ name, subscribers, mesh }) => ({ name, subscribers: [...subscribers], mesh: [...mesh] })),
    }),
  });
}

function addRecent(api: Api, admin: AdminApi): void {
  api.route({
    method: 'GET',
    url: '/api/v1/announcements',
    config: { access: 'announcements' },
    schema: {
      operationId: 'listAnnouncements',
      tags: ['gossip'],
      summary: 'Lists recent announcements, latest first, without node statuses, which only the WebSocket carries.',
      querystring: RECENT,
      response: answers(
        z.object({ announcements: z.array(ANNOUNCEMENT) }).describe('Recent announcements.'),
        ...OF_QUERY,
      ),
    },
    handler: async ({ query: { limit } }) => ({
      announcements: admin.recentAnnouncements().slice(0, limit).map(announcementAnswer),
    }),
  });
  api.route({
    method: 'GET',
    url: '/api/v1/verdicts',
    config: { access: 'verdicts' },
    schema: {
      operationId: 'listVerdicts',
      tags: ['gossip'],
      summary: 'Lists the validation results of recent gossip messages, latest first.',
      querystring: RECENT,
      response: answers(z.object({ verdicts: z.array(VERDICT) }).describe('Recent validation results.'), ...OF_QUERY),
    },
    handler: async ({ query: { limit } }) => ({ verdicts: admin.recentVerdicts().slice(0, limit) }),
  });
}

/** With lists that the answer may change. */
function syncAnswer({ choice, ...sync }: SyncView): z.output<typeof SYNC> {
  if (choice === undefined) return sync;
  const { passedOver, considered, ...rest } = choice;
  return { ...sync, choice: { ...rest, passedOver: [...passedOver], considered: [...considered] } };
}

/** With 64-bit integers as JSON numbers. */
function announcementAnswer(announcement: RecentAnnouncement): z.output<typeof ANNOUNCEMENT> {
  const plain = Object.entries(announcement).map(([name, value]) => [
    name,
    typeof value === 'bigint' ? Number(value) : value,
  ]);
  return Object.fromEntries(plain) as z.output<typeof ANNOUNCEMENT>;
}
