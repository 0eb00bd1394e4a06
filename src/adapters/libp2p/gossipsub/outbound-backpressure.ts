// What waits to be sent to neighbours that do not read. gossipsub bounds it for each of them; hundreds together would fill memory. Beyond a bound for
// all, those that have read nothing for longest lose their stream, and with it what waits; they get another after a pause (gossip-streams.ts).
import type { Counter, Metrics } from '../../../ports/metrics.ts';

/** The part of a stream of yamux that tells; its window moves with whatever is sent or read. */
export interface SendingStream {
  readonly writeBufferLength: number;
  readonly sendWindowCapacity?: number;
  abort(error: Error): void;
}

interface Watched {
  window: number | undefined;
  /** Looks in a row at which something waited and nothing moved. */
  stuckLooks: number;
}

/** Eight neighbours at their own bound. Messages are small, and take about twice their size in memory. */
const MAX_BYTES = 128 * 1024 * 1024;

export class UnsentGossip {
  private readonly streams: () => Iterable<SendingStream>;
  private readonly dropped: Counter;
  private readonly watched = new WeakMap<SendingStream, Watched>();

  constructor(metrics: Metrics, streams: () => Iterable<SendingStream>) {
    this.streams = streams;
    this.dropped = metrics.counter(
      'teranode_p2p_gossip_streams_dropped_total',
      'Streams of gossip ended because too much waited for neighbours that do not read',
    );
    this.dropped.add(0);
    metrics.gauge('teranode_p2p_gossip_unsent_bytes', 'Bytes of gossip that wait for neighbours to read', () =>
      [...streams()].reduce((sum, { writeBufferLength }) => sum + writeBufferLength, 0),
    );
    metrics.gauge(
      'teranode_p2p_gossip_unsent_bytes_bound',
      'Bytes of gossip that wait for neighbours to read at most',
      () => MAX_BYTES,
    );
  }

  /** Called every second. */
  look(): void {
    const waiting = [...this.streams()].map((stream) => ({
      stream,
      bytes: stream.writeBufferLength,
      stuckLooks: this.stuckLooks(stream),
    }));
    let bytes = waiting.reduce((sum, each) => sum + each.bytes, 0);
    if (bytes <= MAX_BYTES) return;
    waiting.sort((a, b) => b.stuckLooks - a.stuckLooks || b.bytes - a.bytes);
    for (const each of waiting) {
      if (bytes <= MAX_BYTES) break;
      if (each.bytes === 0) continue;
      bytes -= each.bytes;
      this.dropped.add(1);
      each.stream.abort(new Error('the neighbour does not read'));
    }
  }

  private stuckLooks(stream: SendingStream): number {
    const window = stream.sendWindowCapacity;
    const watched = this.watched.get(stream) ?? { window: undefined, stuckLooks: 0 };
    const isStuck = stream.writeBufferLength > 0 && window === watched.window;
    watched.stuckLooks = isStuck ? watched.stuckLooks + 1 : 0;
    watched.window = window;
    this.watched.set(stream, watched);
    return watched.stuckLooks;
  }
}
