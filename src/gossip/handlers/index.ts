// One handler a topic: message in, effects out. Pure.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { Effect } from '../effects.ts';
import type { ReadTopic, TopicMessages } from '../messages.ts';
import { handleBlock } from './block.ts';
import { handleHandshake, handleMiningOn, handleNodeStatus } from './claimed-height.ts';
import { handleSubtree } from './subtree.ts';

type Handler<M> = (message: M, envelope: GossipMessage) => Effect[];

export const HANDLERS: { readonly [K in ReadTopic]: Handler<TopicMessages[K]> } = {
  block: handleBlock,
  subtree: handleSubtree,
  mining_on: handleMiningOn,
  handshake: handleHandshake,
  // Checked and relayed; it changes nothing here.
  rejected_tx: () => [],
  node_status: handleNodeStatus,
};
