// Clients with the same filter share a channel, which keeps the frames that not all of them were given yet. Clients
// take turns, in slices between which the event loop does other work; a turn gives a client all frames since its last
// turn as one piece. Within the write budget turns come at once, so that frames are not joined; one `send` for each of
// 1,000 clients and frames lost every client at 43,000 frames per second, joined it is twenty times that.
import type { NotificationType } from '../../../domain/notification.ts';
import type { SubscriptionFilter } from './types.ts';
import { WriteBudget } from './write-budget.ts';

/** Frames in order; shared by clients, never changed. */
export interface Batch {
  readonly frames: readonly Buffer[];
  /** The frames joined. Larger in memory than `frames`, which all clients share. */
  readonly bytes: Buffer;
}

/** A client of a channel; must not throw. */
export interface BatchReceiver {
  receive(batch: Batch): void;
}

/** Turns without a pause: about two milliseconds. */
const SLICE = 100;
/** Frames that come in shorter intervals in one turn of the event loop are joined at its end. */
const LEAST_INTERVAL_MS = 1;
const KIB = 1024;
/** Frames of up to one KiB each that a channel keeps at most. */
const MAX_PENDING = 1000;

interface Member {
  readonly receiver: BatchReceiver;
  /** Number of the next frame for it. */
  next: number;
}

interface Channel {
  readonly filter: SubscriptionFilter;
  /** The one whose turn is longest ago first. */
  readonly members: Set<Member>;
  /** Those that not all members were given. */
  frames: Buffer[];
  bytes: number;
  /** Number of the frame after the last. */
  end: number;
}

export class WsChannels {
  private readonly now: () => number;
  private readonly maxPending: number;
  private readonly budget = new WriteBudget();
  /** At most one per set of types; the one served longest ago first. */
  private readonly channels = new Map<string, Channel>();
  private clients = 0;
  private slicedMs = Number.NEGATIVE_INFINITY;
  private cancel: (() => void) | undefined;

  /** `now`: monotonic ms. `maxPending`: frames of up to one KiB each, of which a client may get one batch. */
  constructor(deps: { readonly now: () => number }, options: { readonly maxPending: number }) {
    this.now = deps.now;
    this.maxPending = Math.min(options.maxPending, MAX_PENDING);
  }

  /** Adds a client until the returned function is called. */
  join(filter: SubscriptionFilter, receiver: BatchReceiver): () => void {
    const channel = this.channels.get(filter.key) ?? { filter, members: new Set(), frames: [], bytes: 0, end: 0 };
    this.channels.set(filter.key, channel);
    const member = { receiver, next: channel.end };
    channel.members.add(member);
    this.clients += 1;
    return () => {
      if (!channel.members.delete(member)) return;
      this.clients -= 1;
      forget(channel);
      if (channel.members.size === 0) this.channels.delete(filter.key);
    };
  }

  /** Whether any client would receive it; if not, it need not be serialised. */
  isWanted(type: NotificationType): boolean {
    for (const { filter } of this.channels.values()) if (filter.types.has(type)) return true;
    return false;
  }

  /**
   * Sends a frame, to all clients when `type` is undefined: at once if they are few, else in this turn of the event
   * loop if the budget allows. A turn in which many announcements are verified may take tens of milliseconds.
   */
  add(frame: Buffer, type: NotificationType | undefined): void {
    for (const channel of [...this.channels.values()]) {
      if (type !== undefined && !channel.filter.types.has(type)) continue;
      channel.frames.push(frame);
      channel.bytes += frame.length;
      channel.end += 1;
      if (Math.max(channel.frames.length, channel.bytes / KIB) >= this.maxPending) this.serve(channel, this.clients);
    }
    const nowMs = this.now();
    const isDue = nowMs - this.slicedMs >= LEAST_INTERVAL_MS && this.budget.delayMs(nowMs) === 0;
    if (isDue && this.clients <= SLICE) this.slice();
    else this.schedule();
  }

  /** Sends all pending frames. */
  flushAll(): void {
    this.cancel?.();
    this.cancel = undefined;
    for (const channel of [...this.channels.values()]) this.serve(channel, this.clients);
  }

  private schedule(): void {
    if (this.cancel !== undefined || !this.hasPending()) return;
    const delayMs = this.budget.delayMs(this.now());
    if (delayMs > 0) {
      const timer = setTimeout(() => this.slice(), Math.ceil(delayMs));
      this.cancel = () => clearTimeout(timer);
    } else {
      const immediate = setImmediate(() => this.slice());
      this.cancel = () => clearImmediate(immediate);
    }
  }

  private hasPending(): boolean {
    for (const { frames } of this.channels.values()) if (frames.length > 0) return true;
    return false;
  }

  private slice(): void {
    this.cancel?.();
    this.cancel = undefined;
    this.slicedMs = this.now();
    let turns = SLICE;
    for (const channel of [...this.channels.values()]) if (turns > 0) turns -= this.serve(channel, turns);
    this.schedule();
  }

  /** Gives up to `most` members what they were not given yet; returns how many had their turn. */
  private serve(channel: Channel, most: number): number {
    const { members, end } = channel;
    let turns = 0;
    let from = end;
    let batch: Batch | undefined;
    for (const member of members) {
      if (turns === most || member.next === end) break;
      if (batch === undefined || member.next !== from) batch = batchOf(channel, member.next);
      from = member.next;
      member.next = end;
      members.delete(member);
      members.add(member);
      member.receiver.receive(batch);
      turns += 1;
    }
    if (turns === 0) return 0;
    this.budget.charge(turns, this.clients, this.now());
    forget(channel);
    // Last of the channels, unless all its members left meanwhile.
    if (!this.channels.delete(channel.filter.key)) return turns;
    this.channels.set(channel.filter.key, channel);
    return turns;
  }
}

function batchOf({ frames: pending, end }: Channel, next: number): Batch {
  const frames = pending.slice(next - end);
  return { frames, bytes: frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames) };
}

/** Forgets the frames that all members were given. */
function forget(channel: Channel): void {
  const [first] = channel.members;
  const count = channel.frames.length - (channel.end - (first?.next ?? channel.end));
  if (count === 0) return;
  for (const { length } of channel.frames.splice(0, count)) channel.bytes -= length;
}
