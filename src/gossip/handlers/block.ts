// A valid block announcement: remember its author, hand it to block validation, notify subscribers.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { Effect } from '../effects.ts';
import type { ReceivedBlock } from '../received-block.ts';
import { claimed, type HandlerView, heard, ownName, usableUrl } from './view.ts';

export function handleBlock(
  message: ReceivedBlock,
  { author, receivedFrom }: GossipMessage,
  view: HandlerView,
): Effect[] {
  const { hash, dataHubUrl, height } = message;
  const name = ownName(message.clientName);
  const header = message.header?.bytes;
  const tip = { ...claimed(height, hash, view), ...provenByParent(message, view) };
  return [
    {
      type: 'attribute_block',
      hash,
      author,
      receivedFrom,
      dataHubUrl,
      height,
      headerTime: message.header?.fields?.time,
    },
    view.shouldForward(author, height)
      ? { type: 'publish_block', hash, dataHubUrl, author }
      : { type: 'withheld', topic: 'block' },
    heard(author, { ...tip, ...usableUrl(dataHubUrl, view), ...name }, view),
    {
      type: 'notify',
      notification: {
        ...{ type: 'block', isOwn: false, hash, height, baseUrl: dataHubUrl, peerId: author, receivedFrom },
        ...name,
        ...(header && { header }),
      },
    },
  ];
}

/** The work of the header was checked. When its parent is on our own chain, the height is proven too. */
function provenByParent({ header, hash }: ReceivedBlock, view: HandlerView) {
  const parent = header?.fields?.previousHash;
  const parentHeight = parent === undefined ? undefined : view.ownHeightOf(parent);
  return parentHeight === undefined ? {} : { proven: { height: parentHeight + 1, hash } };
}
