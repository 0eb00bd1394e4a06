// Node status: what its author says about itself.
import type { NodeStatusMessage } from '../../domain/node-status.ts';
import type { GossipMessage } from '../../ports/p2p-node.ts';
import { parseHash } from '../../wire/hash.ts';
import type { Effect } from '../effects.ts';
import { claimed, type HandlerView, usableUrl } from './view.ts';

export function handleNodeStatus(message: NodeStatusMessage, { author }: GossipMessage, view: HandlerView): Effect[] {
  const { peerId: _claimedId, ...facts } = message;
  const patch = {
    ...claimed(message.bestHeight, parseHash(message.bestBlockHash), view),
    ...usableUrl(message.baseUrl, view),
    clientName: message.clientName,
    ...(message.storage === undefined ? {} : { storage: message.storage }),
  };
  return [
    { type: 'heard', peerId: author, patch },
    { type: 'notify', notification: { type: 'node_status', isOwn: false, ...facts, peerId: author } },
  ];
}
