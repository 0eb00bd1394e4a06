// Mining-on, handshake and node status tell how far their author claims to be.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { HandshakeMessage } from '../../wire/handshake.ts';
import type { MiningOnMessage } from '../../wire/mining-on.ts';
import type { NodeStatusMessage } from '../../wire/node-status.ts';
import type { Effect } from '../effects.ts';

export function handleMiningOn(message: MiningOnMessage, { author }: GossipMessage): Effect[] {
  return [{ type: 'peer_height', peerId: author, height: message.height }];
}

export function handleHandshake(message: HandshakeMessage, { author }: GossipMessage): Effect[] {
  return [{ type: 'peer_height', peerId: author, height: message.bestHeight }];
}

export function handleNodeStatus(message: NodeStatusMessage, { author }: GossipMessage): Effect[] {
  return [{ type: 'peer_height', peerId: author, height: message.bestHeight }];
}
