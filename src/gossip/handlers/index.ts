// One handler per topic: message and facts in, effects out. Pure functions.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { TopicKind } from '../../wire/format.ts';
import type { Effect } from '../effects.ts';
import type { ReceivedMessages } from '../messages.ts';
import { handleBestBlock } from './best-block.ts';
import { handleBlock } from './block.ts';
import { handleHandshake } from './handshake.ts';
import { handleMiningOn } from './mining-on.ts';
import { handleNodeStatus } from './node-status.ts';
import { handleRejectedTx } from './rejected-tx.ts';
import { handleSubtree } from './subtree.ts';
import type { HandlerView } from './view.ts';

type Handler<M> = (message: M, envelope: GossipMessage, view: HandlerView) => Effect[];

export const HANDLERS: { readonly [K in TopicKind]: Handler<ReceivedMessages[K]> } = {
  block: handleBlock,
  subtree: handleSubtree,
  mining_on: handleMiningOn,
  handshake: handleHandshake,
  rejected_tx: handleRejectedTx,
  node_status: handleNodeStatus,
  best_block: handleBestBlock,
};
