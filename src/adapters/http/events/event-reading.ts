// What a client of the feed gets next, as bytes: gaps and events in order. The bytes of an event are made once for all
// clients of a kind.
import type { EventFeed, NumberedEvent } from '../../../domain/event-feed.ts';
import { BoundedMap } from '../../../lib/bounded-map.ts';
import { eventId, type Lost, type Resumed } from './event-id.ts';

/** How one kind of clients wants it. */
export interface FeedFormat {
  event(id: string, event: NumberedEvent): Buffer;
  /** `id`: from where the client would resume; before the gap, so that it is told again unless it read on. */
  lost(id: string, lost: Lost): Buffer;
}

export interface Piece {
  readonly bytes: Buffer;
  /** How many events and gaps it holds. */
  readonly items: number;
  /** How many events the gaps in it took. */
  readonly lost: number;
}

/** Of one piece: a few dozen KiB. */
const MAX_EVENTS = 64;
/** Bytes kept for other clients that read the same events; of some hundred bytes each. */
const MAX_SHARED = 1000;

/** Makes pieces for all clients of a kind. */
export class FeedPieces {
  private readonly feed: Pick<EventFeed, 'epoch'>;
  private readonly format: FeedFormat;
  private readonly shared = new BoundedMap<number, Buffer>({ max: MAX_SHARED });

  constructor(feed: Pick<EventFeed, 'epoch'>, format: FeedFormat) {
    this.feed = feed;
    this.format = format;
  }

  /** Returns what a client gets with each call; undefined while there is nothing. */
  from({ reader, lost: first }: Resumed): () => Piece | undefined {
    let untold = first;
    return () => {
      const id = eventId(this.feed, reader.position);
      const { lost, events } = reader.read(MAX_EVENTS);
      const gaps: Lost[] = untold === undefined ? [] : [untold];
      untold = undefined;
      if (lost !== undefined) {
        const { after, to, count } = lost;
        gaps.push({ reason: 'not_kept', from: eventId(this.feed, after), to: eventId(this.feed, to), count });
      }
      const parts = [...gaps.map((gap) => this.format.lost(id, gap)), ...events.map((event) => this.bytesOf(event))];
      if (parts.length === 0) return undefined;
      return { bytes: Buffer.concat(parts), items: parts.length, lost: lost?.count ?? 0 };
    };
  }

  private bytesOf(event: NumberedEvent): Buffer {
    const known = this.shared.get(event.number);
    if (known !== undefined) return known;
    const bytes = this.format.event(eventId(this.feed, event.number), event);
    this.shared.set(event.number, bytes);
    return bytes;
  }
}
