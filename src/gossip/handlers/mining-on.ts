// Mining-on: the height its author has reached, and the block it mines on.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { MiningOnMessage } from '../../wire/mining-on.ts';
import type { Effect } from '../effects.ts';
import { claimed, type HandlerView, heard, usableUrl } from './view.ts';

export function handleMiningOn(message: MiningOnMessage, { author }: GossipMessage, view: HandlerView): Effect[] {
  const { hash, previousHash, height, miner, sizeInBytes, txCount, dataHubUrl } = message;
  const said = heard(author, { ...claimed(height, hash, view), ...usableUrl(dataHubUrl, view) }, view);
  if (!view.shouldForward(author, height)) return [said, { type: 'withheld', topic: 'mining_on' }];
  const facts = { hash, previousHash, height, miner, sizeInBytes, txCount, baseUrl: dataHubUrl, peerId: author };
  return [said, { type: 'notify', notification: { type: 'mining_on', isOwn: false, ...facts } }];
}
