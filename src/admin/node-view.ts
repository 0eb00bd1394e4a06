// What programs over HTTP may ask and order: the admin port, and what only watchers want to see.
import type { NetworkMember } from '../app/network-member.ts';
import type { BlockchainClient } from '../ports/blockchain-client.ts';
import type { NodeView, SettingView } from '../ports/node-view.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { PeerAdmin } from '../ports/peer-admin.ts';

export interface NodeViewDependencies {
  readonly admin: PeerAdmin;
  readonly member: NetworkMember;
  readonly node: P2PNode;
  readonly blockchain: BlockchainClient;
  readonly settings: readonly SettingView[];
}

const CHAIN_DEADLINE_MS = 2000;

export function nodeView({ admin, member, node, blockchain, settings }: NodeViewDependencies): NodeView {
  return {
    ...admin,
    sync: async () => {
      const [fsmState, best] = await Promise.all([
        inTime(() => blockchain.fsmState()),
        inTime(() => blockchain.bestBlockHeader()),
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
async function inTime<T>(ask: () => Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, CHAIN_DEADLINE_MS, undefined);
  });
  try {
    return await Promise.race([ask(), late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
