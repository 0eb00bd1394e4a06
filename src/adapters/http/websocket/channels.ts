// Clients with the same filter share a channel: frames due within one interval are joined once and handed to each
// client as one piece. One `send` per client and frame lost every client at 43,000 frames per second; joined, twenty
// times that takes a third of a core.
import type { NotificationType, SubscriptionFilter } from './types.ts';

/** Frames joined into one piece of bytes; shared by clients, never changed. */
export interface Batch {
  readonly bytes: Buffer;
  readonly frames: number;
}

/** A client of a channel; must not throw. */
export interface BatchReceiver {
  receive(batch: Batch): void;
}

/** Between 20 and 50 ms: long enough to join dozens of frames at 1,000 per second, too short for people to notice. */
const JOIN_MS = 40;
/** A burst is sent in pieces of this size. */
const MAX_BATCH_BYTES = 64 * 1024;

interface Channel {
  readonly filter: SubscriptionFilter;
  readonly receivers: Set<BatchReceiver>;
  pending: Buffer[];
  pendingBytes: number;
}

export class WsChannels {
  private readonly maxBatchFrames: number;
  /** At most one per set of types. */
  private readonly channels = new Map<string, Channel>();
  private timer: NodeJS.Timeout | undefined;
  private lastFlushMs = 0;

  constructor(options: { readonly maxBatchFrames: number }) {
    this.maxBatchFrames = options.maxBatchFrames;
  }

  /** Adds a client until the returned function is called. */
  join(filter: SubscriptionFilter, receiver: BatchReceiver): () => void {
    const channel = this.channels.get(filter.key) ?? { filter, receivers: new Set(), pending: [], pendingBytes: 0 };
    this.channels.set(filter.key, channel);
    channel.receivers.add(receiver);
    return () => {
      channel.receivers.delete(receiver);
      if (channel.receivers.size === 0) this.channels.delete(filter.key);
    };
  }

  /** Whether any client would receive it; if not, it need not be serialised. */
  isWanted(type: NotificationType): boolean {
    for (const { filter } of this.channels.values()) if (filter.types.has(type)) return true;
    return false;
  }

  /**
   * Sends a frame, to all clients when `type` is undefined. The first frame after a pause is sent at once, later ones
   * are joined.
   */
  add(frame: Buffer, type: NotificationType | undefined): void {
    for (const channel of this.channels.values()) {
      if (type !== undefined && !channel.filter.types.has(type)) continue;
      channel.pending.push(frame);
      channel.pendingBytes += frame.length;
      if (channel.pendingBytes >= MAX_BATCH_BYTES || channel.pending.length >= this.maxBatchFrames) flush(channel);
    }
    if (this.channels.size === 0) return;
    this.timer ??= setTimeout(() => this.flushAll(), Math.max(0, this.lastFlushMs + JOIN_MS - performance.now()));
  }

  /** Sends all pending frames. */
  flushAll(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.lastFlushMs = performance.now();
    for (const channel of this.channels.values()) flush(channel);
  }
}

function flush(channel: Channel): void {
  const { pending } = channel;
  if (pending.length === 0) return;
  const bytes = pending.length === 1 && pending[0] !== undefined ? pending[0] : Buffer.concat(pending);
  const batch = { bytes, frames: pending.length };
  channel.pending = [];
  channel.pendingBytes = 0;
  for (const receiver of channel.receivers) receiver.receive(batch);
}
