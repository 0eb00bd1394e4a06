// RPCs to a peer wait while the stream to it is being opened, as in go-libp2p-pubsub. gossipsub passes over such a
// peer, so a message that we publish right after somebody connected would reach nobody when there is nobody else.
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import type { GossipsubParts, Rpc, Stage } from './parts.ts';
import { bytesOf } from './rpc-splitting.ts';

/** RPCs pending for one peer, as in go-libp2p-pubsub; further ones are dropped. */
const MAX_RPCS = 32;
/** Pending for all peers together. */
const MAX_BYTES = 16 * 1024 * 1024;

interface PendingOutboundParts {
  readonly hasStream: (id: string) => boolean;
  /** Peers that subscribe to a topic. */
  readonly subscribers: (topic: string) => readonly string[];
  /** Peers that a message is published to at most: the size of a mesh. */
  readonly meshSize: number;
}

export class PendingOutbound implements Stage<'outgoing' | 'opening'> {
  readonly feature = 'pendingOutbound';
  private readonly parts: PendingOutboundParts;
  private readonly dropped: Counter;
  /** Peers to which a stream is being opened. */
  private readonly opening = new Set<string>();
  /** By peer. */
  private readonly pending = new Map<string, Rpc[]>();
  private bytes = 0;
  private send: GossipsubParts['sendRpc'] = () => false;

  constructor(metrics: Metrics, parts: PendingOutboundParts) {
    this.parts = parts;
    this.dropped = metrics.counter(
      'teranode_p2p_gossip_held_dropped_total',
      'RPCs not sent because too many waited for a stream (full) or the stream could not be opened (failed)',
      ['reason'],
    );
    for (const reason of ['full', 'failed']) this.dropped.add(0, { reason });
    gaugeWithBound(
      metrics,
      { name: 'teranode_p2p_gossip_held_bytes', help: 'Bytes of RPCs that wait for streams being opened' },
      () => this.bytes,
      MAX_BYTES,
    );
  }

  createOutboundStream(next: GossipsubParts['createOutboundStream']): GossipsubParts['createOutboundStream'] {
    return async (peerId, connection) => {
      const id = peerId.toString();
      this.opening.add(id);
      try {
        await next(peerId, connection);
      } finally {
        this.opening.delete(id);
        this.flush(id);
      }
    };
  }

  sendRpc(next: GossipsubParts['sendRpc']): GossipsubParts['sendRpc'] {
    this.send = next;
    return (id, rpc) => (this.isOpening(id) ? this.keep(id, rpc) : next(id, rpc));
  }

  selectPeersToPublish(next: GossipsubParts['selectPeersToPublish']): GossipsubParts['selectPeersToPublish'] {
    return (topic, floodPublish) => {
      const selected = next(topic, floodPublish);
      if (this.opening.size === 0) return selected;
      for (const id of this.parts.subscribers(topic)) {
        if (selected.tosend.size >= this.parts.meshSize) break;
        if (this.isOpening(id)) selected.tosend.add(id);
      }
      return selected;
    };
  }

  private isOpening(id: string): boolean {
    return this.opening.has(id) && !this.parts.hasStream(id);
  }

  /** The stream to the peer was opened, or could not be. */
  private flush(id: string): void {
    const rpcs = this.pending.get(id);
    if (rpcs === undefined) return;
    this.pending.delete(id);
    const isOpen = this.parts.hasStream(id);
    for (const rpc of rpcs) {
      this.bytes -= bytesOf(rpc);
      if (!isOpen || !this.send(id, rpc)) this.dropped.add(1, { reason: 'failed' });
    }
  }

  /** Whether it is kept. */
  private keep(id: string, rpc: Rpc): boolean {
    const rpcs = this.pending.get(id) ?? [];
    const bytes = bytesOf(rpc);
    if (rpcs.length >= MAX_RPCS || this.bytes + bytes > MAX_BYTES) {
      this.dropped.add(1, { reason: 'full' });
      return false;
    }
    this.bytes += bytes;
    this.pending.set(id, rpcs);
    rpcs.push(rpc);
    return true;
  }
}
