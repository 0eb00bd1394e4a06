// A block announcement that passed its guards: remember who said it, hand it to block validation.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { BlockMessage } from '../../wire/block.ts';
import type { Effect } from '../effects.ts';

export function handleBlock(message: BlockMessage, { author, relay }: GossipMessage): Effect[] {
  const { hash, dataHubUrl, height } = message;
  return [
    { type: 'attribute_block', hash, author, relay, dataHubUrl },
    { type: 'publish_block', hash, dataHubUrl, author },
    { type: 'peer_height', peerId: author, height },
  ];
}
