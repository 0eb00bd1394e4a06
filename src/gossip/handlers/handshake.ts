// A version or verack that came by gossip. The handshake decides what to do: it knows whom it has answered.
import type { GossipMessage } from '../../ports/p2p-node.ts';
import type { HandshakeMessage } from '../../wire/handshake.ts';
import type { Effect } from '../effects.ts';

export function handleHandshake(message: HandshakeMessage, { author }: GossipMessage): Effect[] {
  return [{ type: 'handshake', message, author }];
}
