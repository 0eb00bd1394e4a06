// Reads what the node's own validation reports through Kafka.
import type { Publisher } from '../announce/publisher.ts';
import { validationReports } from '../bans/reports/validation-reports.ts';
import type { BanService } from '../bans/service.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import type { Gossip } from '../gossip/attach.ts';
import type { FirstDeliveries } from '../peers/first-deliveries.ts';
import type { Traces } from '../ports/traces.ts';
import type { Settings } from '../settings/load.ts';
import { speaks } from '../settings/wire.ts';
import type { Core } from './core.ts';
import type { ReportConsumers } from './create-kafka.ts';
import type { Peers } from './create-peers.ts';

export interface ReportSources extends Core {
  readonly consumers: ReportConsumers;
  readonly gossip: Pick<Gossip, 'blocks' | 'subtrees'>;
  readonly bans: BanService;
  readonly chain: Pick<ChainTracker, 'isSyncing' | 'fsmState'>;
  readonly publisher: Pick<Publisher, 'publish'>;
  readonly traces: Traces | undefined;
  readonly peers: { readonly registry: Pick<Peers['registry'], 'list'>; readonly histories: Peers['histories'] };
  readonly deliveries: Pick<FirstDeliveries, 'takeBack'>;
  readonly ownId: PeerId;
  readonly notify: (notification: Notification) => void;
}

export interface Reports {
  start(signal: AbortSignal): Promise<void>;
  /** Finishes the records in hand within the deadline. */
  stop(deadlineMs: number): Promise<void>;
}

export function createReports(settings: Settings, deps: ReportSources): Reports {
  const { consumers, gossip, bans, chain, publisher, peers, deliveries } = deps;
  const handlers = validationReports({
    ...deps,
    blocks: gossip.blocks,
    subtrees: gossip.subtrees,
    offences: bans,
    dataHubs: () => peers.registry.list().map(({ id, dataHubUrl = '' }) => ({ author: id, dataHubUrl })),
    histories: speaks(settings, 'message-bus') ? peers.histories : undefined,
    isSyncing: () => chain.isSyncing(),
    isRunning: () => (chain.fsmState() ?? 'RUNNING') === 'RUNNING',
    announcesRejected: settings.listen_mode === 'full',
    rejectedTxRate: {
      perSecond: settings.p2p_rejected_tx_publish_rate,
      burst: settings.p2p_rejected_tx_publish_burst,
    },
    ownReasons: settings.p2p_report_own_reasons,
    provedInvalid: (kind, hash) => {
      const [first] = gossip[kind === 'block' ? 'blocks' : 'subtrees'].announcementsOf(hash);
      if (first !== undefined && first.receivedFrom !== first.author) deliveries.takeBack(first.receivedFrom);
    },
    announce: (message) => publisher.publish({ kind: 'rejected_tx', message }),
  });
  return {
    start: async (signal) => {
      await consumers.invalidBlocks.start(handlers.invalidBlocks, signal);
      await consumers.invalidSubtrees.start(handlers.invalidSubtrees, signal);
      await consumers.rejectedTxs.start(handlers.rejectedTxs, signal);
    },
    stop: async (deadlineMs) => {
      await Promise.all(Object.values(consumers).map((consumer) => consumer.stop(deadlineMs)));
    },
  };
}
