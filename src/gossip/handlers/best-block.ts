// Best block: a request for ours, or an announcement of the author's.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { BestBlockMessage } from '../../wire/best-block.ts';
import type { Effect } from '../effects.ts';
import { claimed, type HandlerView, heard } from './view.ts';

export function handleBestBlock(message: BestBlockMessage, { author }: GossipMessage, view: HandlerView): Effect[] {
  if (message.kind === 'request') return [{ type: 'best_block_asked', author }];
  const { hash, height } = message;
  return [
    heard(author, claimed(height, hash, view), view),
    { type: 'notify', notification: { type: 'best_block', isOwn: false, hash, height, peerId: author } },
  ];
}
