// What is to go to a neighbour while the stream to it is being opened: it waits for the stream, as in go-libp2p-pubsub. gossipsub passes over such a
// neighbour, so that what we publish right after somebody has come reaches nobody when there is nobody else.
import type { GossipSub } from '@libp2p/gossipsub';
import type { Counter, Metrics } from '../../../ports/metrics.ts';
import { bytesOf, type Rpc } from './rpc-splitting.ts';

/** The parts of the class that are used; private in its type. */
interface GossipInternals {
  readonly opts: { readonly D: number };
  /** By peer id. */
  readonly streamsOutbound: ReadonlyMap<string, unknown>;
  /** Peer ids of each topic's subscribers. */
  readonly topics: ReadonlyMap<string, ReadonlySet<string>>;
  sendRpc(id: string, rpc: Rpc): boolean;
  selectPeersToPublish(topic: string, floodPublish?: boolean): { readonly tosend: Set<string> };
}

/** Frames for one neighbour, as in go-libp2p-pubsub; further ones are dropped. */
const MAX_FRAMES = 32;
/** For all neighbours together. */
const MAX_BYTES = 16 * 1024 * 1024;

export class HeldGossip {
  private readonly isOpening: (id: string) => boolean;
  private readonly send: GossipInternals['sendRpc'];
  private readonly dropped: Counter;
  /** By peer id. */
  private readonly held = new Map<string, Rpc[]>();
  private bytes = 0;

  /** Before gossip starts, after all else that wraps `sendRpc`. Throws TypeError when the library no longer has the parts that send. */
  constructor(pubsub: GossipSub, metrics: Metrics, isOpening: (id: string) => boolean) {
    const internals = pubsub as unknown as GossipInternals;
    const { sendRpc, selectPeersToPublish, streamsOutbound, topics } = internals;
    if (![sendRpc, selectPeersToPublish].every((part) => typeof part === 'function'))
      throw new TypeError('gossipsub has not the parts that publish');
    if (!(topics instanceof Map) || !(streamsOutbound instanceof Map))
      throw new TypeError('gossipsub has no subscribers by topic');
    this.isOpening = (id) => isOpening(id) && !streamsOutbound.has(id);
    this.send = sendRpc.bind(pubsub);
    internals.sendRpc = (id, rpc) => (this.isOpening(id) ? this.hold(id, rpc) : this.send(id, rpc));
    internals.selectPeersToPublish = (topic, floodPublish) => {
      const selected = selectPeersToPublish.call(pubsub, topic, floodPublish);
      for (const id of topics.get(topic) ?? []) {
        if (selected.tosend.size >= internals.opts.D) break;
        if (this.isOpening(id)) selected.tosend.add(id);
      }
      return selected;
    };
    this.dropped = metrics.counter(
      'teranode_p2p_gossip_held_dropped_total',
      'Frames of gossip not sent because too much waited for a stream, or the stream could not be opened',
      ['reason'],
    );
    for (const reason of ['full', 'failed']) this.dropped.add(0, { reason });
    metrics.gauge(
      'teranode_p2p_gossip_held_bytes',
      'Bytes of gossip that wait for streams being opened',
      () => this.bytes,
    );
    metrics.gauge(
      'teranode_p2p_gossip_held_bytes_bound',
      'Bytes of gossip that wait for streams being opened at most',
      () => MAX_BYTES,
    );
  }

  /** The stream to a peer was opened, or could not be. */
  opened(id: string, isOpen: boolean): void {
    const frames = this.held.get(id);
    if (frames === undefined) return;
    this.held.delete(id);
    for (const frame of frames) {
      this.bytes -= bytesOf(frame);
      if (!isOpen || !this.send(id, frame)) this.dropped.add(1, { reason: 'failed' });
    }
  }

  /** Whether it is kept. */
  private hold(id: string, rpc: Rpc): boolean {
    const frames = this.held.get(id) ?? [];
    const bytes = bytesOf(rpc);
    if (frames.length >= MAX_FRAMES || this.bytes + bytes > MAX_BYTES) {
      this.dropped.add(1, { reason: 'full' });
      return false;
    }
    this.bytes += bytes;
    this.held.set(id, frames);
    frames.push(rpc);
    return true;
  }
}
