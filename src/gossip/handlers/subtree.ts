// A subtree announcement that passed its guards: remember who said it, hand it to subtree validation.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { SubtreeMessage } from '../../wire/subtree.ts';
import type { Effect } from '../effects.ts';

export function handleSubtree({ hash, dataHubUrl }: SubtreeMessage, { author, relay }: GossipMessage): Effect[] {
  return [
    { type: 'attribute_subtree', hash, author, relay, dataHubUrl },
    { type: 'publish_subtree', hash, dataHubUrl, author },
  ];
}
