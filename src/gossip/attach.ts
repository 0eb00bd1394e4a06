// Builds the pipeline of each topic of each network and sets it as topic handler of the network's node.

import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import { Attribution } from '../peers/attribution.ts';
import { gaugeWithBound } from '../ports/metrics.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import type { TopicKind } from '../wire/format.ts';
import { type ExecutorDependencies, executor } from './executor.ts';
import type { ReportSize } from './limits/report-size.ts';
import { SeenHashes, type SeenHashOptions } from './limits/seen-hashes.ts';
import { decodersOf } from './messages.ts';
import { type PipelineDependencies, topicPipeline } from './pipeline.ts';
import { guardViews, type PolicyOptions } from './view.ts';

export interface GossipDependencies
  extends Omit<ExecutorDependencies, 'blocks' | 'subtrees' | 'seenHashes'>,
    Pick<PipelineDependencies, 'log' | 'onResult' | 'onProcessed' | 'handlingMs'> {
  readonly networks: readonly GossipNetwork[];
  readonly ownId: PeerId;
  readonly chain: Pick<ChainTracker, 'heightOf' | 'tip' | 'isSyncing'>;
  readonly sync: SyncStatus;
  readonly isBanned: (peerId: PeerId) => boolean;
  /** Whether the peer is connected and has a reputation too low to sync from. */
  readonly isLowReputation: (peerId: PeerId) => boolean;
  /** Whether the peer is connected or was heard with a valid message, and has no ban score. */
  readonly isInGoodStanding: (peerId: PeerId) => boolean;
}

/** What gossip needs of a network. */
export type GossipNetwork = Omit<P2PNetwork, 'node'> & {
  readonly node: Pick<P2PNode, 'setTopicHandler' | 'connectedSinceMs'>;
};

export interface GossipOptions {
  readonly policy: PolicyOptions;
  readonly isShadow: (rule: string) => boolean;
  readonly seenHashes: SeenHashOptions;
  readonly peerMap: { readonly maxSize: number; readonly ttlMs: number; readonly cleanUpIntervalMs: number };
}

export interface Gossip {
  readonly blocks: Attribution;
  readonly subtrees: Attribution;
  /** Forgets old announcements; called by a timer. */
  cleanUp(): void;
  /** Begins to forget old announcements. */
  start(): void;
  /** May be called twice. */
  stop(): void;
}

/** Sets the topic handlers of every network's node; the nodes may be started afterwards. */
export function attachGossip(deps: GossipDependencies, options: GossipOptions): Gossip {
  const { clock, metrics, networks } = deps;
  const { maxSize, ttlMs, cleanUpIntervalMs } = options.peerMap;
  const blocks = new Attribution({ clock, metrics }, { kind: 'block', maxAnnouncements: maxSize, ttlMs });
  const subtrees = new Attribution({ clock, metrics }, { kind: 'subtree', maxAnnouncements: maxSize, ttlMs });
  const reportSize: ReportSize = (kind, size, bound) => {
    const help = 'Entries that validation rules remember';
    gaugeWithBound(metrics, { name: 'teranode_p2p_rule_entries', help, labels: { kind } }, size, bound);
  };
  const seenHashes = new SeenHashes(clock, options.seenHashes, reportSize);
  const execute = executor({ ...deps, blocks, subtrees, seenHashes });
  const heard = lastHeard(deps, networks);
  for (const { network, view } of guardViews({ ...deps, blocks, subtrees, reportSize }, options.policy, networks)) {
    for (const [kind, name] of Object.entries(network.topics) as [TopicKind, string][]) {
      const onResult: PipelineDependencies['onResult'] = (envelope, result) => {
        if (result.process) heard(kind);
        deps.onResult?.(envelope, result);
      };
      const { isShadow } = options;
      const pipeline = { ...deps, decode: decodersOf(network.wire), view, execute, isShadow, onResult };
      network.node.setTopicHandler(name, topicPipeline(kind, pipeline));
    }
  }
  let timer: NodeJS.Timeout | undefined;
  return {
    blocks,
    subtrees,
    cleanUp: () => {
      blocks.cleanUp();
      subtrees.cleanUp();
    },
    start() {
      timer ??= setInterval(() => this.cleanUp(), cleanUpIntervalMs).unref();
    },
    stop: () => clearInterval(timer),
  };
}

/** Notes when a topic's last valid message came. Before the first it is now, so that silence from the start shows. */
function lastHeard(
  { clock, metrics }: Pick<GossipDependencies, 'clock' | 'metrics'>,
  networks: readonly GossipNetwork[],
): (kind: TopicKind) => void {
  const seconds = new Map<string, number>();
  const heard = (kind: string) => void seconds.set(kind, Math.floor(clock.now() / 1000));
  for (const { topics } of networks) for (const kind of Object.keys(topics)) heard(kind);
  const help = 'Unix time of the last valid message of each topic, in seconds; before the first, the start of the node';
  metrics.gauges('teranode_p2p_gossip_last_message_timestamp_seconds', help, 'topic', () => seconds);
  return heard;
}
