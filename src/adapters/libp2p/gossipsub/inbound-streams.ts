// One stream on which a neighbour gossips to us, as in go-libp2p-pubsub: a new one ends the one before it. gossipsub closes only its own side of that
// one and reads on, so that a neighbour with a hundred streams keeps a hundred unfinished frames of 1 MiB here; and when any of them is reset, it
// forgets the neighbour.
import type { GossipSub } from '@libp2p/gossipsub';
import type { PeerId as LibPeerId } from '@libp2p/interface';

/** The parts of the class that are wrapped; private in its type. */
interface GossipInternals {
  /** By peer id. */
  readonly streamsInbound: ReadonlyMap<string, { readonly rawStream: { abort(error: Error): void } }>;
  createInboundStream(peerId: LibPeerId, stream: unknown): void;
  handlePeerReadStreamError(error: Error, peerId: LibPeerId): void;
}

class Replaced extends Error {
  override readonly name = 'Replaced';
}

/** Call before gossip starts. Throws TypeError when the library no longer has these parts. */
export function keepOneInboundStream(pubsub: GossipSub): void {
  const internals = pubsub as unknown as GossipInternals;
  const { createInboundStream, handlePeerReadStreamError, streamsInbound } = internals;
  if (![createInboundStream, handlePeerReadStreamError].every((part) => typeof part === 'function'))
    throw new TypeError('gossipsub has not the parts that read streams');
  if (!(streamsInbound instanceof Map)) throw new TypeError('gossipsub has no streams that it reads');
  internals.createInboundStream = (peerId, stream) => {
    const id = peerId.toString();
    const prior = streamsInbound.get(id);
    createInboundStream.call(pubsub, peerId, stream);
    if (prior !== undefined && streamsInbound.get(id) !== prior)
      prior.rawStream.abort(new Replaced('the neighbour opened another stream'));
  };
  internals.handlePeerReadStreamError = (error, peerId) => {
    if (!(error instanceof Replaced)) handlePeerReadStreamError.call(pubsub, error, peerId);
  };
}
