// Clients with the same wish share a channel: frames due within one interval are joined there once and handed to each client as one piece.
// One `send` for each client and frame lost every client at 43,000 frames a second; joined, twenty times that is a third of a core (stack.md).
import type { NotificationType, Wish } from './types.ts';

/** Frames that stand in one piece of bytes; shared by clients, never changed. */
export interface Batch {
  readonly bytes: Buffer;
  readonly frames: number;
}

/** A member of a channel; must not throw. */
export interface BatchTaker {
  take(batch: Batch): void;
}

/** Within 20 to 50 ms: long enough to join some dozens at 1,000 a second, too short for a person to see. */
const JOIN_MS = 40;
/** A burst goes out in pieces of this size. */
const MAX_BATCH_BYTES = 64 * 1024;

interface Channel {
  readonly wish: Wish;
  readonly takers: Set<BatchTaker>;
  waiting: Buffer[];
  waitingBytes: number;
}

export class WsChannels {
  private readonly maxBatchFrames: number;
  /** At most one for each set of types. */
  private readonly channels = new Map<string, Channel>();
  private timer: NodeJS.Timeout | undefined;
  private lastFlushMs = 0;

  constructor(options: { readonly maxBatchFrames: number }) {
    this.maxBatchFrames = options.maxBatchFrames;
  }

  /** Until the returned function is called. */
  join(wish: Wish, taker: BatchTaker): () => void {
    const channel = this.channels.get(wish.key) ?? { wish, takers: new Set(), waiting: [], waitingBytes: 0 };
    this.channels.set(wish.key, channel);
    channel.takers.add(taker);
    return () => {
      channel.takers.delete(taker);
      if (channel.takers.size === 0) this.channels.delete(wish.key);
    };
  }

  /** Whether anybody would get it: what nobody wants need not be serialised. */
  isWanted(type: NotificationType): boolean {
    for (const { wish } of this.channels.values()) if (wish.types.has(type)) return true;
    return false;
  }

  /** `type` undefined: to all. The first frame after a pause goes out at once, later ones are joined. */
  add(frame: Buffer, type: NotificationType | undefined): void {
    for (const channel of this.channels.values()) {
      if (type !== undefined && !channel.wish.types.has(type)) continue;
      channel.waiting.push(frame);
      channel.waitingBytes += frame.length;
      if (channel.waitingBytes >= MAX_BATCH_BYTES || channel.waiting.length >= this.maxBatchFrames) flush(channel);
    }
    if (this.channels.size === 0) return;
    this.timer ??= setTimeout(() => this.flushAll(), Math.max(0, this.lastFlushMs + JOIN_MS - performance.now()));
  }

  /** What waits goes out now. */
  flushAll(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.lastFlushMs = performance.now();
    for (const channel of this.channels.values()) flush(channel);
  }
}

function flush(channel: Channel): void {
  const { waiting } = channel;
  if (waiting.length === 0) return;
  const bytes = waiting.length === 1 && waiting[0] !== undefined ? waiting[0] : Buffer.concat(waiting);
  const batch = { bytes, frames: waiting.length };
  channel.waiting = [];
  channel.waitingBytes = 0;
  for (const taker of channel.takers) taker.take(batch);
}
