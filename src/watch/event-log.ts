// Numbers the notifications of this node and keeps the latest, each type apart: a flood of one type never pushes out
// another. Keeping one costs an object; texts are made when somebody reads.
import type { EventFeed, EventReader, LostEvents, NumberedEvent } from '../domain/event-feed.ts';
import {
  NOTIFICATION_TYPES,
  type Notification,
  type NotificationStream,
  type NotificationType,
} from '../domain/notification.ts';
import { BoundedQueue } from '../lib/bounded-queue.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../ports/metrics.ts';

export interface EventLogOptions {
  /** Of each type. */
  readonly maxEvents: number;
  /** Of all types together, estimated; the oldest event of the type that takes most is dropped. */
  readonly maxBytes: number;
}

/** An event without its texts, with what the log adds: measured. */
const EVENT_BYTES = 250;
const MAX_LISTENERS = 10;

interface Kept extends NumberedEvent {
  readonly bytes: number;
}

/** The events of one type. */
class Lane {
  readonly queue: BoundedQueue<Kept>;
  /** How many were dropped, and the number of the last of them. */
  dropped = 0;
  lastDropped = 0;

  constructor(maxItems: number, onDrop: (kept: Kept) => void) {
    this.queue = new BoundedQueue<Kept>({ maxItems, sizeOf: ({ bytes }) => bytes, onDrop });
  }

  /** How many events of this type came up to the event `number`, as far as that is still known. */
  countUpTo(number: number): number {
    let [low, high] = [0, this.queue.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.queue.at(middle)?.number ?? 0) <= number) low = middle + 1;
      else high = middle;
    }
    return this.dropped + low;
  }

  /** The event before which `count` events of this type came. */
  at(count: number): Kept | undefined {
    return this.queue.at(count - this.dropped);
  }
}

export class EventLog implements EventFeed {
  readonly epoch: string;
  private readonly maxBytes: number;
  private readonly droppedEvents: Counter;
  private readonly lanes: ReadonlyMap<NotificationType, Lane>;
  private readonly listeners = new Set<() => void>();
  private number = 0;
  private bytes = 0;

  constructor(
    deps: { readonly stream: NotificationStream; readonly metrics: Metrics; readonly epoch: string },
    options: EventLogOptions,
  ) {
    this.epoch = deps.epoch;
    this.maxBytes = options.maxBytes;
    const { metrics } = deps;
    this.lanes = new Map(
      NOTIFICATION_TYPES.map((type) => {
        const lane: Lane = new Lane(options.maxEvents, (kept) => this.forget(type, lane, kept));
        return [type, lane];
      }),
    );
    this.droppedEvents = metrics.counter(
      'teranode_p2p_events_dropped_total',
      'Events no longer kept for clients that resume, by type',
      ['type'],
    );
    metrics.gauges('teranode_p2p_events_kept', 'Events kept for clients that resume, by type', 'type', () => {
      return new Map([...this.lanes].map(([type, { queue }]) => [type, queue.length]));
    });
    metrics.gauges('teranode_p2p_events_kept_bound', 'Upper bound of teranode_p2p_events_kept', 'type', () => {
      return new Map([...this.lanes.keys()].map((type) => [type, options.maxEvents]));
    });
    const bytes = { name: 'teranode_p2p_events_kept_bytes', help: 'Estimated bytes of the events kept' };
    gaugeWithBound(metrics, bytes, () => this.bytes, options.maxBytes);
    deps.stream.subscribe((notification) => this.add(notification));
  }

  get last(): number {
    return this.number;
  }

  reader(types: ReadonlySet<NotificationType>, after: number): EventReader {
    const wanted = [...this.lanes].filter(([type]) => types.has(type)).map(([, lane]) => lane);
    return new Reader(this, wanted, after, this.lostAfter(after, wanted));
  }

  subscribe(listener: () => void): () => void {
    if (this.listeners.size >= MAX_LISTENERS) throw new RangeError(`at most ${MAX_LISTENERS} subscribers`);
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private add(notification: Notification): void {
    this.number += 1;
    const lane = this.lanes.get(notification.type);
    if (lane === undefined) return;
    const bytes = bytesOf(notification);
    this.bytes += bytes;
    lane.queue.push({ number: this.number, notification, bytes });
    while (this.bytes > this.maxBytes) this.dropOfLargest();
    for (const listener of this.listeners) listener();
  }

  private dropOfLargest(): void {
    let largest: [NotificationType, Lane] | undefined;
    for (const each of this.lanes)
      if (largest === undefined || each[1].queue.bytes > largest[1].queue.bytes) largest = each;
    const kept = largest?.[1].queue.shift();
    if (largest === undefined || kept === undefined) throw new TypeError('the bytes of kept events are miscounted');
    this.forget(...largest, kept);
  }

  private forget(type: NotificationType, lane: Lane, kept: Kept): void {
    lane.dropped += 1;
    lane.lastDropped = kept.number;
    this.bytes -= kept.bytes;
    this.droppedEvents.add(1, { type });
  }

  /** What somebody lost who read everything up to `after`. Dropped events of other types in between count too. */
  private lostAfter(after: number, wanted: readonly Lane[]): LostEvents | undefined {
    const to = Math.max(0, ...wanted.map(({ lastDropped }) => lastDropped));
    if (to <= after) return undefined;
    let kept = 0;
    for (const lane of this.lanes.values()) kept += lane.countUpTo(to) - lane.countUpTo(after);
    return { after, to, count: to - after - kept };
  }
}

class Reader implements EventReader {
  private readonly log: Pick<EventLog, 'last'>;
  /** By lane: how many events of it came before the next to be read. */
  private readonly lanes: { readonly lane: Lane; next: number }[];
  private lostBefore: LostEvents | undefined;
  private at: number;

  constructor(log: Pick<EventLog, 'last'>, lanes: readonly Lane[], after: number, lostBefore: LostEvents | undefined) {
    this.log = log;
    this.at = after;
    this.lostBefore = lostBefore;
    this.lanes = lanes.map((lane) => ({ lane, next: lane.countUpTo(after) }));
  }

  get position(): number {
    return this.at;
  }

  read(max: number): ReturnType<EventReader['read']> {
    const lost = this.takeLost();
    const events: NumberedEvent[] = [];
    while (events.length < max) {
      const event = this.take();
      if (event === undefined) break;
      events.push(event);
    }
    this.at = events.length < max ? this.log.last : (events.at(-1)?.number ?? this.at);
    return { lost, events };
  }

  private takeLost(): LostEvents | undefined {
    let { to, count } = this.lostBefore ?? { to: 0, count: 0 };
    for (const each of this.lanes) {
      const { dropped, lastDropped } = each.lane;
      if (each.next >= dropped) continue;
      count += dropped - each.next;
      to = Math.max(to, lastDropped);
      each.next = dropped;
    }
    this.lostBefore = undefined;
    return count === 0 ? undefined : { after: this.at, to, count };
  }

  /** The oldest of the next events of all lanes. */
  private take(): NumberedEvent | undefined {
    let oldest: Kept | undefined;
    let from: { next: number } | undefined;
    for (const each of this.lanes) {
      const kept = each.lane.at(each.next);
      if (kept === undefined || (oldest !== undefined && oldest.number < kept.number)) continue;
      oldest = kept;
      from = each;
    }
    if (from !== undefined) from.next += 1;
    return oldest;
  }
}

/** With the texts of the objects in it: a node status lists up to 10,000 hashes. */
function bytesOf(notification: object): number {
  let bytes = EVENT_BYTES;
  if (ArrayBuffer.isView(notification)) return bytes;
  for (const key in notification) {
    const value = notification[key as keyof typeof notification] as unknown;
    if (typeof value === 'string') bytes += value.length;
    else if (typeof value === 'object' && value !== null) bytes += bytesOf(value);
  }
  return bytes;
}
