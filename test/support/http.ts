// The HTTP server on loopback over fakes, with all routes, and notifications to publish.
import { afterEach } from 'vitest';
import { HttpServer, type HttpServerOptions } from '../../src/adapters/http/server/http-server.ts';
import { AdminKeys } from '../../src/adapters/listeners/admin-keys.ts';
import type { Hash, PeerId } from '../../src/domain/ids.ts';
import type { Notification } from '../../src/domain/notification.ts';
import type { RecentAnnouncement } from '../../src/ports/admin-api.ts';
import { type Clock, systemClock } from '../../src/ports/clock.ts';
import type { HealthCheck } from '../../src/ports/health.ts';
import { EventLog, type EventLogOptions } from '../../src/watch/event-log.ts';
import { UNKNOWN_BLOCK_ASSEMBLY } from '../../src/wire/block-assembly-details.ts';
import { FakeAdminApi } from '../fakes/admin-api.ts';
import { FakeNotifications } from '../fakes/notifications.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { cutAll } from './websocket.ts';

export const ADMIN_KEY = 'a key for tests only, 0815';
export const OWN_ID = '12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB' as PeerId;
export const OTHER_ID = '12D3KooWF4fXLtfHxzwCwD2kHPvJNoAzYELUS7gxFoaTrUCGgPNg' as PeerId;
export const EPOCH = 'epoch1';
export const BASE_URL = 'http://127.0.0.1:8090/api/v1';

type NodeStatus = Extract<Notification, { type: 'node_status' }>;

export const OWN_STATUS: NodeStatus = {
  type: 'node_status',
  atMs: 1_700_000_000_000,
  isOwn: true,
  baseUrl: BASE_URL,
  peerId: OWN_ID,
  version: 'v0.1.0',
  commitHash: 'abcdef0',
  bestBlockHash: '00'.repeat(32),
  bestHeight: 7,
  blockAssemblyDetails: UNKNOWN_BLOCK_ASSEMBLY,
  fsmState: 'RUNNING',
  startTime: 1_700_000_000n,
  uptime: 1.5,
  clientName: 'test',
  minerName: '',
  listenMode: 'full',
  chainWork: '01',
  syncPeerId: '',
  syncPeerHeight: 0,
  syncPeerBlockHash: '',
  syncConnectedAt: 0n,
};

/** The hash holds the number, so that a client can say which came. */
export function subtree(number: number): RecentAnnouncement {
  const hash = number.toString(16).padStart(64, '0') as Hash;
  return { type: 'subtree', atMs: 1_700_000_000_000, isOwn: false, hash, baseUrl: BASE_URL, peerId: OTHER_ID };
}

export function block(number: number): RecentAnnouncement {
  const { hash, ...rest } = subtree(number) as Extract<Notification, { type: 'subtree' }>;
  return { ...rest, hash, type: 'block', height: number };
}

export interface ServedHttp {
  readonly address: string;
  readonly server: HttpServer;
  readonly view: FakeAdminApi;
  readonly notifications: FakeNotifications;
  readonly metrics: RecordedMetrics;
  readonly log: ReturnType<typeof recordingLogger>;
  readonly adminKeys: AdminKeys;
  /** What a test may change while it runs. */
  readonly answers: {
    health: { status: number; message: string; checks: readonly HealthCheck[] };
    ownStatus: () => NodeStatus | Promise<NodeStatus>;
  };
}

const started: HttpServer[] = [];

export async function serveHttp(
  options: Partial<HttpServerOptions> = {},
  clock: Clock = systemClock,
  kept: Partial<EventLogOptions> & { readonly epoch?: string } = {},
): Promise<ServedHttp> {
  const view = new FakeAdminApi();
  const notifications = new FakeNotifications();
  const metrics = new RecordedMetrics();
  const { epoch = EPOCH, maxEvents = 20_000, maxBytes = 2 ** 24 } = kept;
  const events = new EventLog({ stream: notifications, metrics, epoch }, { maxEvents, maxBytes });
  const log = recordingLogger();
  const answers: ServedHttp['answers'] = {
    health: { status: 200, message: 'OK', checks: [] },
    ownStatus: () => OWN_STATUS,
  };
  const adminKeys = new AdminKeys({ log, metrics, clock }, { adminKey: ADMIN_KEY });
  const server = new HttpServer(
    {
      log,
      metrics,
      clock,
      sources: {
        health: async (live) => (live ? { status: 200, message: 'OK', checks: [] } : answers.health),
        scrape: async () => ({ contentType: 'text/plain; version=0.0.4; charset=utf-8', body: 'a_metric 1\n' }),
      },
      api: { admin: view, adminKeys, version: '0.1.0' },
      events,
      webSocket: {
        notifications,
        ownStatus: () => answers.ownStatus(),
        identity: () => ({ baseUrl: BASE_URL, peerId: OWN_ID }),
      },
    },
    { listenAddress: '127.0.0.1:0', tls: undefined, routes: 'full', ...options },
  );
  started.push(server);
  await server.start();
  return { address: server.address() ?? '', server, view, notifications, metrics, log, adminKeys, answers };
}

/** Registers the clean-up of a test file. */
export function stopHttpAfterEach(): void {
  afterEach(async () => {
    cutAll();
    await Promise.all(started.splice(0).map((server) => server.stop()));
  });
}
