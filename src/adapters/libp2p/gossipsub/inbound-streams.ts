// The one stream on which a peer gossips to us: as in go-libp2p-pubsub a new one ends the one before it. gossipsub
// closes only its own side of the older one and reads on, so a peer with a hundred streams would keep a hundred
// unfinished RPCs of 1 MiB here; and when any of them is reset, gossipsub forgets the peer.
import type { Stream } from '@libp2p/interface';
import type { GossipsubParts, Stage } from './parts.ts';

/** The parts of a stream that we use, all public. */
export type ReadStream = Pick<Stream, 'readStatus' | 'status' | 'pause' | 'resume' | 'abort' | 'addEventListener'>;

class Replaced extends Error {
  override readonly name = 'Replaced';
}

export class InboundStreams implements Stage<'incoming' | 'opening'> {
  readonly feature = 'oneInboundStream';
  /** By peer; a stream that ended leaves. */
  private readonly streams = new Map<string, ReadStream>();

  of(id: string): ReadStream | undefined {
    return this.streams.get(id);
  }

  createInboundStream(next: GossipsubParts['createInboundStream']): GossipsubParts['createInboundStream'] {
    return (peerId, stream) => {
      next(peerId, stream);
      this.keep(peerId.toString(), stream);
    };
  }

  /** The stream that we ended ourselves is no fault of the peer. */
  handlePeerReadStreamError(
    next: GossipsubParts['handlePeerReadStreamError'],
  ): GossipsubParts['handlePeerReadStreamError'] {
    return (error, peerId) => {
      if (!(error instanceof Replaced)) next(error, peerId);
    };
  }

  private keep(id: string, stream: ReadStream): void {
    const prior = this.streams.get(id);
    if (stream.status === 'open' || stream.status === 'closing') {
      this.streams.set(id, stream);
      stream.addEventListener('close', () => {
        if (this.streams.get(id) === stream) this.streams.delete(id);
      });
    }
    if (prior !== undefined && prior !== stream) prior.abort(new Replaced('the peer opened another stream'));
  }
}
