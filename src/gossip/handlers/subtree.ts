// A valid subtree announcement: remember its author, hand it to subtree validation, notify subscribers.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { SubtreeMessage } from '../../wire/subtree.ts';
import type { Effect } from '../effects.ts';
import { type HandlerView, heard, ownName, usableUrl } from './view.ts';

export function handleSubtree(
  { hash, dataHubUrl, clientName }: SubtreeMessage,
  { author, receivedFrom }: GossipMessage,
  view: HandlerView,
): Effect[] {
  const name = ownName(clientName);
  return [
    { type: 'attribute_subtree', hash, author, receivedFrom, dataHubUrl },
    { type: 'publish_subtree', hash, dataHubUrl, author },
    heard(author, { ...usableUrl(dataHubUrl, view), ...name }, view),
    {
      type: 'notify',
      notification: { type: 'subtree', isOwn: false, hash, baseUrl: dataHubUrl, peerId: author, receivedFrom, ...name },
    },
  ];
}
