// Builds the pipeline of each topic under each topic prefix and sets it as the node's topic handler.

import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import { Attribution } from '../peers/attribution.ts';
import { gaugeWithBound } from '../ports/metrics.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import { type ExecutorDependencies, executor } from './executor.ts';
import type { ReportSize } from './limits/report-size.ts';
import type { ReadTopic } from './messages.ts';
import { type PipelineDependencies, topicPipeline } from './pipeline.ts';
import { guardView, type PolicyOptions } from './view.ts';

/** Full names of the topics under one prefix. */
export type TopicNames = { readonly [K in ReadTopic]: string };

export interface GossipDependencies
  extends Omit<ExecutorDependencies, 'blocks' | 'subtrees' | 'node'>,
    Pick<PipelineDependencies, 'log' | 'onResult'> {
  readonly node: P2PNode;
  readonly chain: Pick<ChainTracker, 'heightOf' | 'tip' | 'isSyncing'>;
  readonly sync: SyncStatus;
  readonly isBanned: (peerId: PeerId) => boolean;
}

export interface GossipOptions {
  /** Our own prefix first. */
  readonly topics: readonly TopicNames[];
  readonly policy: PolicyOptions;
  readonly isShadow: (rule: string) => boolean;
  readonly peerMap: { readonly maxSize: number; readonly ttlMs: number; readonly cleanUpIntervalMs: number };
}

export interface Gossip {
  readonly blocks: Attribution;
  readonly subtrees: Attribution;
  stop(): void;
}

/** Sets the node's topic handlers; the node may be started afterwards. */
export function attachGossip(deps: GossipDependencies, options: GossipOptions): Gossip {
  const { node, clock, metrics, log, onResult } = deps;
  const { maxSize, ttlMs, cleanUpIntervalMs } = options.peerMap;
  const blocks = new Attribution({ clock, metrics }, { kind: 'block', maxAnnouncements: maxSize, ttlMs });
  const subtrees = new Attribution({ clock, metrics }, { kind: 'subtree', maxAnnouncements: maxSize, ttlMs });
  const reportSize: ReportSize = (kind, size, bound) => {
    const help = 'Entries that validation rules remember';
    gaugeWithBound(metrics, { name: 'teranode_p2p_rule_entries', help, labels: { kind } }, size, bound);
  };
  const view = guardView(
    {
      ...deps,
      ownId: node.hostId(),
      blocks,
      subtrees,
      prefixes: options.topics.length,
      connectedSinceMs: (peerId) => node.connectedSinceMs?.(peerId),
      reportSize,
    },
    options.policy,
  );
  const execute = executor({ ...deps, blocks, subtrees });
  for (const names of options.topics) {
    for (const [kind, name] of Object.entries(names) as [ReadTopic, string][]) {
      node.setTopicHandler(
        name,
        topicPipeline(kind, {
          view,
          execute,
          isShadow: options.isShadow,
          clock,
          log,
          metrics,
          ...(onResult === undefined ? {} : { onResult }),
        }),
      );
    }
  }
  const timer = setInterval(() => {
    blocks.cleanUp();
    subtrees.cleanUp();
  }, cleanUpIntervalMs);
  timer.unref();
  return { blocks, subtrees, stop: () => clearInterval(timer) };
}
