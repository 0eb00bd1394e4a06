// What this node announces: blocks, subtrees and mining-on of its own blockchain, its status, and its best block when
// asked.
import { Announcer } from '../announce/announcer.ts';
import { BestBlockAnnouncer } from '../announce/best-block.ts';
import { BestBlockAsker } from '../announce/best-block-asker.ts';
import { NodeStatusAnnouncer } from '../announce/node-status.ts';
import type { Publisher } from '../announce/publisher.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import { P2PError } from '../lib/errors.ts';
import { buildVersion } from '../lib/version.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import type { BlockAssemblyClient } from '../ports/validation-services.ts';
import type { Settings } from '../settings/load.ts';
import type { Core } from './core.ts';

export interface AnnouncerSources extends Core {
  readonly networks: readonly P2PNetwork[];
  readonly publisher: Publisher;
  readonly ownId: PeerId;
  readonly dataHubUrl: string;
  readonly chain: ChainTracker;
  readonly blockAssembly: BlockAssemblyClient | undefined;
  readonly registry: PeerRegistry;
  readonly sync: SyncStatus;
  readonly notify: (notification: Notification) => void;
}

export interface Announcers {
  readonly announcer: Announcer;
  readonly status: NodeStatusAnnouncer;
  readonly bestBlock: BestBlockAnnouncer;
  readonly bestBlockAsker: BestBlockAsker;
  /** Our status as subscribers hear it. Throws NODE_NOT_STARTED before it is announced. */
  ownStatus(): ReturnType<NodeStatusAnnouncer['currentNotification']>;
}

export function createAnnouncers(settings: Settings, deps: AnnouncerSources): Announcers {
  const { dataHubUrl } = deps;
  const { version, commit } = buildVersion();
  const bestBlock = new BestBlockAnnouncer(deps);
  const status = new NodeStatusAnnouncer(deps, {
    baseUrl: dataHubUrl,
    version,
    commitHash: commit,
    clientName: settings.clientName,
    listenMode: settings.listen_mode,
  });
  return {
    announcer: new Announcer(deps, { dataHubUrl, clientName: settings.clientName }),
    status,
    bestBlock,
    bestBlockAsker: bestBlockAsker(bestBlock, deps),
    ownStatus: async () => {
      if (!status.isStarted) throw new P2PError('NODE_NOT_STARTED', 'the node status is not known before the start');
      return await status.currentNotification();
    },
  };
}

function bestBlockAsker(bestBlock: BestBlockAnnouncer, deps: AnnouncerSources): BestBlockAsker {
  const { networks, registry, chain, clock, log } = deps;
  const subscribersIn = ({ topics, node }: P2PNetwork) =>
    topics.best_block === undefined ? 0 : (node.getTopic(topics.best_block)?.subscribers().length ?? 0);
  return new BestBlockAsker({
    request: () => bestBlock.request(),
    subscribers: () => networks.reduce((sum, network) => sum + subscribersIn(network), 0),
    isHeightKnown: () => registry.connectedList().some(({ claimed }) => claimed !== undefined),
    isRunning: () => chain.fsmState() === 'RUNNING',
    clock,
    log,
  });
}
