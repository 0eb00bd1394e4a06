// What this node keeps of its events, from the settings.
import { randomInt } from 'node:crypto';
import { SqliteHistoryStore } from '../adapters/sql/sqlite-history-store.ts';
import { networkView } from '../admin/network-view.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { NotificationStream } from '../domain/notification.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { HistoryStore } from '../ports/history-store.ts';
import type { Settings } from '../settings/load.ts';
import { EventLog } from '../watch/event-log.ts';
import { History, type HistoryDependencies } from '../watch/history.ts';
import { MessageCounts } from '../watch/message-counts.ts';
import { Recent } from '../watch/recent.ts';
import type { Core } from './core.ts';
import { banDatabase } from './create-bans.ts';
import type { Nodes } from './nodes.ts';

/** Two starts in the same millisecond differ too. */
const EPOCH_SUFFIXES = 36 ** 3;

/** What is kept in memory of notifications and messages, for operators and clients. */
export interface Watchers {
  readonly events: EventLog;
  readonly recent: Recent;
  readonly messages: MessageCounts;
}

type WatchedSources = Core & { readonly notifications: NotificationStream };

export function createWatchers(settings: Settings, deps: WatchedSources): Watchers {
  // First, so that what follows an event finds it there.
  const events = createEventLog(settings, deps);
  return { events, recent: new Recent(deps.notifications), messages: new MessageCounts(deps) };
}

function createEventLog(settings: Settings, { clock, metrics, notifications: stream }: WatchedSources): EventLog {
  const epoch = `${clock.now().toString(36)}${randomInt(EPOCH_SUFFIXES).toString(36).padStart(3, '0')}`;
  return new EventLog(
    { stream, metrics, epoch },
    { maxEvents: settings.p2p_events_kept, maxBytes: settings.p2p_events_kept_bytes },
  );
}

export interface HistorySources extends Core, Pick<HistoryDependencies, 'messages'> {
  readonly notifications: NotificationStream;
  readonly dataFolder: string;
  readonly ownId: PeerId;
  readonly registry: Pick<PeerRegistry, 'list'>;
  readonly nodes: Pick<Nodes, 'currentlyConnectedPeers'>;
  readonly chain: Pick<ChainTracker, 'tip'>;
}

/** undefined while `p2p_history_days` is 0. */
export async function createHistory(settings: Settings, deps: HistorySources): Promise<History | undefined> {
  const { p2p_history_days: keptDays } = settings;
  if (keptDays === 0) return undefined;
  const store = await historyStore(settings, deps);
  const { registry, nodes, chain, notifications: stream } = deps;
  const facts = () => {
    const own = chain.tip();
    const { lag } = networkView({ peers: registry.list(), own, topics: [], league: [], agentOf: () => undefined });
    return { peers: nodes.currentlyConnectedPeers().length, tipHeight: own?.height, lag };
  };
  return new History({ ...deps, store, stream, facts }, { keptDays });
}

async function historyStore(settings: Settings, { dataFolder, ownId, log }: HistorySources): Promise<HistoryStore> {
  const database = banDatabase(settings, dataFolder);
  if ('sqlitePath' in database) return new SqliteHistoryStore({ path: database.sqlitePath, node: ownId });
  const { PostgresHistoryStore } = await import('../adapters/sql/postgres-history-store.ts');
  return new PostgresHistoryStore({ log }, { url: database.postgresUrl, node: ownId });
}
