// What programs over HTTP may ask and order: the admin port, and what only watchers want to see.
import type { NetworkMember } from '../app/network-member.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import { orAfter } from '../lib/deadline.ts';
import type { NodeView, SettingView } from '../ports/node-view.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { PeerAdmin } from '../ports/peer-admin.ts';

export interface NodeViewDependencies {
  readonly admin: PeerAdmin;
  readonly member: NetworkMember;
  readonly node: P2PNode;
  readonly chain: Pick<ChainTracker, 'recentBestHeader' | 'recentFsmState'>;
  readonly settings: readonly SettingView[];
}

const CHAIN_DEADLINE_MS = 2000;
/** However often it is asked, the blockchain service is asked once a second. */
const CHAIN_AGE_MS = 1000;

export function nodeView({ admin, member, node, chain, settings }: NodeViewDependencies): NodeView {
  return {
    ...admin,
    sync: async () => {
      const [fsmState, best] = await Promise.all([
        inTime(chain.recentFsmState(CHAIN_AGE_MS)),
        inTime(chain.recentBestHeader(CHAIN_AGE_MS)),
      ]);
      return { fsmState, bestHeight: best?.height, bestBlockHash: best?.hash, syncPeer: member.sync.syncPeer() };
    },
    topics: () =>
      member.topicNames().flatMap((name) => {
        const topic = node.getTopic(name);
        return topic === undefined ? [] : [{ name, subscribers: topic.subscribers(), mesh: topic.mesh() }];
      }),
    settings: () => settings,
    recentAnnouncements: () => member.recent.announcements(),
    recentVerdicts: () => member.recent.verdicts(),
  };
}

/** undefined when the service fails or does not answer in time. */
async function inTime<T>(answer: Promise<T>): Promise<T | undefined> {
  return await orAfter(answer, CHAIN_DEADLINE_MS, undefined).catch(() => undefined);
}
