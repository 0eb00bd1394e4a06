// One client of Server-Sent Events: reads on in the feed whenever its connection takes more, so nothing waits for a slow
// client but its place in the feed.
import { Readable } from 'node:stream';
import type { NumberedEvent } from '../../../domain/event-feed.ts';
import type { Lost } from './event-id.ts';
import { eventJson, lostJson } from './event-json.ts';
import type { FeedClient } from './event-pump.ts';
import type { FeedFormat, Piece } from './event-reading.ts';

/** For how long a client waits before it connects again, in ms. */
const RETRY_MS = 2000;
/** Pieces are made while less than this waits for the connection. */
const MAX_WAITING_BYTES = 64 * 1024;

export const EVENT_STREAM_FORMAT: FeedFormat = {
  event: (id: string, event: NumberedEvent) => message(id, event.notification.type, eventJson(id, event)),
  lost: (id: string, lost: Lost) => message(id, 'lost', lostJson(lost)),
};

function message(id: string, event: string, data: string): Buffer {
  return Buffer.from(`id: ${id}\nevent: ${event}\ndata: ${data}\n\n`);
}

export class EventStream extends Readable implements FeedClient {
  private readonly next: () => Piece | undefined;
  private readonly onPiece: (piece: Piece) => void;
  private wantsMore = false;
  private isEnding = false;

  /** `id`: where the client begins, for one that is cut off before its first event. */
  constructor(deps: { readonly next: () => Piece | undefined; readonly onPiece: (piece: Piece) => void }, id: string) {
    super({ highWaterMark: MAX_WAITING_BYTES });
    this.next = deps.next;
    this.onPiece = deps.onPiece;
    this.push(`retry: ${RETRY_MS}\nid: ${id}\n\n`);
  }

  override _read(): void {
    this.wantsMore = true;
    this.pull();
  }

  pull(): void {
    while (this.wantsMore && !this.isEnding && !this.destroyed) {
      const piece = this.next();
      if (piece === undefined) return;
      this.onPiece(piece);
      this.wantsMore = this.push(piece.bytes);
    }
  }

  /** A comment, which keeps proxies from closing a quiet connection, and shows whether the client is there. */
  beat(): void {
    if (this.wantsMore && !this.isEnding) this.push(':\n\n');
  }

  /** A client that takes no more bytes is cut off. */
  finish(): void {
    if (this.isEnding) return;
    this.pull();
    this.isEnding = true;
    if (this.wantsMore) this.push(null);
    else this.destroy();
  }
}
