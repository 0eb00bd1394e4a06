// A block announcement that passed its guards: remember who said it, hand it to block validation, tell who watches.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { BlockMessage } from '../../wire/block.ts';
import { parseHeader } from '../../wire/header.ts';
import type { Effect } from '../effects.ts';
import { claimed, type HandlerView, usableUrl } from './view.ts';

export function handleBlock(message: BlockMessage, { author, relay }: GossipMessage, view: HandlerView): Effect[] {
  const { hash, dataHubUrl, height } = message;
  const patch = { ...claimed(height, hash, view), ...provenByParent(message, view), ...usableUrl(dataHubUrl, view) };
  return [
    { type: 'attribute_block', hash, author, relay, dataHubUrl },
    view.handsOn(author, height)
      ? { type: 'publish_block', hash, dataHubUrl, author }
      : { type: 'not_handed_on', topic: 'block' },
    { type: 'heard', peerId: author, patch },
    {
      type: 'notify',
      notification: { type: 'block', isOwn: false, hash, height, baseUrl: dataHubUrl, peerId: author },
    },
  ];
}

/** Its header's work was checked, and its parent is on our chain. */
function provenByParent({ header, hash }: BlockMessage, view: HandlerView) {
  const parent = header === undefined ? undefined : parseHeader(header)?.previousHash;
  const parentHeight = parent === undefined ? undefined : view.ownHeightOf(parent);
  return parentHeight === undefined ? {} : { proven: { height: parentHeight + 1, hash } };
}
