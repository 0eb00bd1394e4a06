// Our messages without the public key that gossipsub adds: the author's ID holds an Ed25519 key already, Go nodes leave it
// out, and the signature does not cover it.
import type { GossipsubParts, Stage } from './parts.ts';

export class KeylessMessages implements Stage<'outgoing'> {
  readonly feature = 'keylessMessages';
  private readonly ownId: Buffer;

  /** `ownId`: the multihash of an Ed25519 key. */
  constructor(ownId: Uint8Array) {
    this.ownId = Buffer.from(ownId);
  }

  /** The same object is kept for peers that ask for the message later. */
  sendRpc(next: GossipsubParts['sendRpc']): GossipsubParts['sendRpc'] {
    return (id, rpc) => {
      for (const message of rpc.messages)
        if (message.key !== undefined && message.from !== undefined && this.ownId.equals(message.from))
          delete message.key;
      return next(id, rpc);
    };
  }
}
