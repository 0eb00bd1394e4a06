// What a client of the feed gets next, as bytes: gaps and events in order. The bytes of an event are made once for all
// clients of a kind.
import { LRUCache } from 'lru-cache';
import type { EventFeed, NumberedEvent } from '../../../domain/event-feed.ts';
import { eventId, type Lost, type Resumed } from './event-id.ts';

/** How one kind of clients wants it. */
export interface FeedFormat {
  event(id: string, event: NumberedEvent): Buffer;
  /** `id`: from where the client would resume; before the gap, so that it gets it again unless it read on. */
  lost(id: string, lost: Lost): Buffer;
}

export interface Piece {
  readonly bytes: Buffer;
  /** How many events and gaps it holds. */
  readonly items: number;
  /** How many events the gaps in it took. */
  readonly lost: number;
}

/** A piece ends after either. Most events have some hundred bytes, a node status up to 256 KiB and more. */
const MAX_EVENTS = 64;
const MAX_BYTES = 64 * 1024;
/** Events that are read before the bytes are counted. */
const STEP = 8;
/** Kept for other clients that read the same events. */
const MAX_SHARED = 1000;
const MAX_SHARED_BYTES = 1024 * 1024;

/** Makes pieces for all clients of a kind. */
export class FeedPieces {
  private readonly feed: Pick<EventFeed, 'epoch'>;
  private readonly format: FeedFormat;
  private readonly shared = new LRUCache<number, Buffer>({
    max: MAX_SHARED,
    maxSize: MAX_SHARED_BYTES,
    sizeCalculation: ({ length }) => length,
  });

  constructor(feed: Pick<EventFeed, 'epoch'>, format: FeedFormat) {
    this.feed = feed;
    this.format = format;
  }

  /** Returns what a client gets with each call; undefined while there is nothing. */
  from({ reader, lost: first }: Resumed): () => Piece | undefined {
    let pending = first;
    return () => {
      const parts: Buffer[] = [];
      let lostEvents = 0;
      for (let bytes = 0, count = STEP; count === STEP && parts.length < MAX_EVENTS && bytes < MAX_BYTES; ) {
        const id = eventId(this.feed, reader.position);
        const { lost, events } = reader.read(STEP);
        const gaps: Lost[] = pending === undefined ? [] : [pending];
        pending = undefined;
        if (lost !== undefined) {
          const { after, to, count } = lost;
          gaps.push({ reason: 'not_kept', from: eventId(this.feed, after), to: eventId(this.feed, to), count });
          lostEvents += count;
        }
        parts.push(...gaps.map((gap) => this.format.lost(id, gap)), ...events.map((event) => this.bytesOf(event)));
        bytes = parts.reduce((sum, { length }) => sum + length, 0);
        count = events.length;
      }
      if (parts.length === 0) return undefined;
      return { bytes: Buffer.concat(parts), items: parts.length, lost: lostEvents };
    };
  }

  private bytesOf(event: NumberedEvent): Buffer {
    const known = this.shared.get(event.number);
    if (known !== undefined) return known;
    const made = this.format.event(eventId(this.feed, event.number), event);
    // A copy of its own: a piece of Node's pool would keep 64 KiB.
    const bytes = Buffer.from(new Uint8Array(made).buffer);
    this.shared.set(event.number, bytes);
    return bytes;
  }
}
