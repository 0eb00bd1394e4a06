// All clients of Server-Sent Events.
import type { EventFeed } from '../../../domain/event-feed.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import { beginningOf, type Resumed } from './event-id.ts';
import type { EventPump } from './event-pump.ts';
import { FeedPieces, type Piece } from './event-reading.ts';
import { EVENT_STREAM_FORMAT, EventStream } from './event-stream.ts';

export interface EventStreamsOptions {
  /** Shared with WebSockets. */
  readonly maxClients: number;
  /** Default 15 s. */
  readonly beatMs?: number | undefined;
}

/** Half of the time after which the server closes a silent connection. */
const BEAT_MS = 15_000;

export class EventStreams {
  private readonly feed: EventFeed;
  private readonly pump: EventPump;
  private readonly pieces: FeedPieces;
  private readonly streams = new Set<EventStream>();
  private readonly beatMs: number;
  private readonly sent: Counter;
  private readonly lost: Counter;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    deps: { readonly feed: EventFeed; readonly pump: EventPump; readonly metrics: Metrics },
    options: EventStreamsOptions,
  ) {
    this.feed = deps.feed;
    this.pump = deps.pump;
    this.pieces = new FeedPieces(deps.feed, EVENT_STREAM_FORMAT);
    this.beatMs = options.beatMs ?? BEAT_MS;
    const { metrics } = deps;
    this.sent = metrics.counter('teranode_p2p_sse_events_sent_total', 'Events sent to clients of Server-Sent Events');
    this.lost = metrics.counter(
      'teranode_p2p_sse_events_lost_total',
      'Events that clients of Server-Sent Events did not get because they read too slowly or came too late',
    );
    const clients = { name: 'teranode_p2p_sse_clients', help: 'Connected clients of Server-Sent Events' };
    gaugeWithBound(metrics, clients, () => this.streams.size, options.maxClients);
  }

  start(): void {
    this.timer = setInterval(() => {
      for (const stream of this.streams) stream.beat();
    }, this.beatMs).unref();
  }

  open(resumed: Resumed): EventStream {
    const id = beginningOf(this.feed, resumed);
    const stream = new EventStream({ next: this.pieces.from(resumed), onPiece: (piece) => this.count(piece) }, id);
    this.streams.add(stream);
    const leave = this.pump.join(stream);
    stream.once('close', () => {
      leave();
      this.streams.delete(stream);
    });
    return stream;
  }

  /** Ends all streams after what their clients take at once. May be called twice. */
  stop(): void {
    clearInterval(this.timer);
    for (const stream of this.streams) stream.finish();
  }

  private count({ items, lost }: Piece): void {
    this.sent.add(items);
    this.lost.add(lost);
  }
}
