// Bounds what waits to be sent to peers that do not read. gossipsub bounds it per peer; hundreds of peers together
// would fill memory. Beyond a bound for all, the streams that have not moved for longest are ended, and what waits on
// them is dropped; outbound-streams.ts opens them again after a pause.
import type { Logger } from '../../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';

/** The parts of a stream that we use. All are public but yamux's window, which moves with whatever is sent or read. */
export interface SendingStream {
  readonly writeBufferLength: number;
  readonly sendWindowCapacity?: number;
  abort(error: Error): void;
}

interface Watched {
  window: number | undefined;
  /** Checks in a row at which something waited and nothing moved. */
  stuckChecks: number;
}

/** Eight peers at their own bound. Messages are small, and take about twice their size in memory. */
const MAX_BYTES = 128 * 1024 * 1024;

export class OutboundBackpressure {
  private readonly streams: () => readonly SendingStream[];
  private readonly log: Logger;
  private readonly dropped: Counter;
  private readonly watched = new WeakMap<SendingStream, Watched>();
  private isWindowMissing = false;

  constructor(
    { log, metrics }: { readonly log: Logger; readonly metrics: Metrics },
    streams: () => readonly SendingStream[],
  ) {
    this.streams = streams;
    this.log = log;
    this.dropped = metrics.counter(
      'teranode_p2p_gossip_streams_dropped_total',
      'Gossip streams ended because too much waited for peers that do not read',
    );
    this.dropped.add(0);
    gaugeWithBound(
      metrics,
      { name: 'teranode_p2p_gossip_unsent_bytes', help: 'Bytes of gossip that wait for peers to read' },
      () => streams().reduce((sum, { writeBufferLength }) => sum + writeBufferLength, 0),
      MAX_BYTES,
    );
  }

  /** Called every second. */
  check(): void {
    const waiting = this.streams().map((stream) => ({
      stream,
      bytes: stream.writeBufferLength,
      stuckChecks: this.stuckChecks(stream),
    }));
    let bytes = waiting.reduce((sum, each) => sum + each.bytes, 0);
    if (bytes <= MAX_BYTES) return;
    waiting.sort((a, b) => b.stuckChecks - a.stuckChecks || b.bytes - a.bytes);
    for (const each of waiting) {
      if (bytes <= MAX_BYTES) break;
      if (each.bytes === 0) continue;
      bytes -= each.bytes;
      this.dropped.add(1);
      each.stream.abort(new Error('the peer does not read'));
    }
  }

  private stuckChecks(stream: SendingStream): number {
    const window = stream.sendWindowCapacity;
    if (window === undefined) this.reportMissingWindow();
    const watched = this.watched.get(stream) ?? { window: undefined, stuckChecks: 0 };
    const isStuck = stream.writeBufferLength > 0 && window !== undefined && window === watched.window;
    watched.stuckChecks = isStuck ? watched.stuckChecks + 1 : 0;
    watched.window = window;
    this.watched.set(stream, watched);
    return watched.stuckChecks;
  }

  /** Before the first stream is open there is nothing to check. */
  private reportMissingWindow(): void {
    if (this.isWindowMissing) return;
    this.isWindowMissing = true;
    const lost = 'when too much waits, the streams with most waiting end, not those that stopped reading';
    this.log.warn({ part: 'sendWindowCapacity' }, `yamux streams have no 'sendWindowCapacity': ${lost}`);
  }
}
