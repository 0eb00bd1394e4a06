// A subtree announcement that passed its guards: remember who said it, hand it to subtree validation, tell who watches.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { SubtreeMessage } from '../../wire/subtree.ts';
import type { Effect } from '../effects.ts';
import { type HandlerView, usableUrl } from './view.ts';

export function handleSubtree(
  { hash, dataHubUrl }: SubtreeMessage,
  { author, relay }: GossipMessage,
  view: HandlerView,
): Effect[] {
  return [
    { type: 'attribute_subtree', hash, author, relay, dataHubUrl },
    { type: 'publish_subtree', hash, dataHubUrl, author },
    { type: 'heard', peerId: author, patch: usableUrl(dataHubUrl, view) },
    { type: 'notify', notification: { type: 'subtree', isOwn: false, hash, baseUrl: dataHubUrl, peerId: author } },
  ];
}
