// Operations that show this node itself, and what gossip brought lately.
import { z } from 'zod';
import { type AdminApi, MAX_RECENT, type RecentAnnouncement } from '../../../ports/admin-api.ts';
import { type Operation, operation } from './operation.ts';
import { ANNOUNCEMENT, SETTING, SYNC, TOPIC, VERDICT } from './schemas.ts';

const recent = z.object({ limit: z.int().min(1).max(MAX_RECENT).default(100) });

export function nodeOperations(view: AdminApi): Operation[] {
  return [getSync(view), listSettings(view), listTopics(view), listAnnouncements(view), listVerdicts(view)];
}

function getSync(view: AdminApi): Operation {
  return operation({
    id: 'getSync',
    method: 'GET',
    path: '/api/v1/sync',
    area: 'node',
    summary: 'Where this node stands, and from whom it catches up.',
    answer: SYNC,
    run: () => view.sync(),
  });
}

function listSettings(view: AdminApi): Operation {
  return operation({
    id: 'listSettings',
    method: 'GET',
    path: '/api/v1/settings',
    area: 'node',
    summary: 'Every setting as it is in force, secrets masked.',
    answer: z.object({ settings: z.array(SETTING) }),
    run: () => ({ settings: [...view.settings()] }),
  });
}

function listTopics(view: AdminApi): Operation {
  return operation({
    id: 'listTopics',
    method: 'GET',
    path: '/api/v1/topics',
    area: 'gossip',
    summary: 'Gossip topics and who is in them.',
    answer: z.object({ topics: z.array(TOPIC) }),
    run: () => ({
      topics: view
        .topics()
        .map(({ name, subscribers, mesh }) => ({ name, subscribers: [...subscribers], mesh: [...mesh] })),
    }),
  });
}

function listAnnouncements(view: AdminApi): Operation {
  return operation({
    id: 'listAnnouncements',
    method: 'GET',
    path: '/api/v1/announcements',
    area: 'gossip',
    summary:
      'Recent announcements, latest first; node statuses, which every node repeats, are told by the WebSocket alone.',
    query: recent,
    answer: z.object({ announcements: z.array(ANNOUNCEMENT) }),
    run: ({ query: { limit } }) => ({ announcements: view.recentAnnouncements().slice(0, limit).map(written) }),
  });
}

function listVerdicts(view: AdminApi): Operation {
  return operation({
    id: 'listVerdicts',
    method: 'GET',
    path: '/api/v1/verdicts',
    area: 'gossip',
    summary: 'What was decided of recent gossip messages, latest first.',
    query: recent,
    answer: z.object({ verdicts: z.array(VERDICT) }),
    run: ({ query: { limit } }) => ({ verdicts: view.recentVerdicts().slice(0, limit) }),
  });
}

/** 64-bit numbers as JSON numbers. */
function written(announcement: RecentAnnouncement): z.input<typeof ANNOUNCEMENT> {
  const plain = Object.entries(announcement).map(([name, value]) => [
    name,
    typeof value === 'bigint' ? Number(value) : value,
  ]);
  return Object.fromEntries(plain) as z.input<typeof ANNOUNCEMENT>;
}
