// Events that wait for their reader: bounded, the oldest dropped and counted, and the reader told before it reads on.
import { BoundedQueue } from '../lib/bounded-queue.ts';

interface Item<E> {
  readonly event: E;
  readonly bytes: number;
}

export interface EventQueueOptions<E> {
  readonly maxItems: number;
  readonly maxBytes: number;
  /** Makes the event that tells of the loss, by the types that were lost. */
  readonly lost: (byType: Readonly<Record<string, number>>, count: number) => E;
  /** Called when the reader leaves. */
  readonly onReturn: () => Promise<void>;
}

/** Charged for each event beside its bytes: objects and strings of a small one. */
const OVERHEAD_BYTES = 512;

type Waiter<E> = PromiseWithResolvers<IteratorResult<E, undefined>>;

/** One reader: each event is yielded once, whoever asks. */
export class EventQueue<E extends { readonly type: string }> implements AsyncIterableIterator<E, undefined> {
  private readonly options: EventQueueOptions<E>;
  private readonly queue: BoundedQueue<Item<E>>;
  private readonly waiting: Waiter<E>[] = [];
  private lostByType: Record<string, number> = {};
  private lostNow = 0;
  private lostAll = 0;
  private end: { readonly error: unknown } | 'done' | undefined;

  constructor(options: EventQueueOptions<E>) {
    this.options = options;
    this.queue = new BoundedQueue<Item<E>>({
      maxItems: options.maxItems,
      maxBytes: options.maxBytes,
      sizeOf: ({ bytes }) => bytes,
      onDrop: ({ event: { type } }) => {
        this.lostByType[type] = (this.lostByType[type] ?? 0) + 1;
        this.lostNow += 1;
        this.lostAll += 1;
      },
    });
  }

  get length(): number {
    return this.queue.length;
  }

  /** Events dropped since the start. */
  get lostCount(): number {
    return this.lostAll;
  }

  /** `bytes`: of the message behind the event. Ignored after the end. */
  push(event: E, bytes = 0): void {
    if (this.end !== undefined) return;
    const waiter = this.waiting.shift();
    if (waiter === undefined) this.queue.push({ event, bytes: bytes + OVERHEAD_BYTES });
    else waiter.resolve({ value: event, done: false });
  }

  /** No more events, nor those that wait; the next read throws `error`, if there is one. May be called twice. */
  finish(error?: { readonly error: unknown }): void {
    if (this.end !== undefined) return;
    this.end = error ?? 'done';
    for (const waiter of this.waiting.splice(0)) this.settle(waiter);
  }

  next(): Promise<IteratorResult<E, undefined>> {
    const waiter: Waiter<E> = Promise.withResolvers();
    if (this.end !== undefined) this.settle(waiter);
    else if (this.lostNow > 0) waiter.resolve({ value: this.lossEvent(), done: false });
    else {
      const item = this.queue.shift();
      if (item === undefined) this.waiting.push(waiter);
      else waiter.resolve({ value: item.event, done: false });
    }
    return waiter.promise;
  }

  async return(): Promise<IteratorResult<E, undefined>> {
    await this.options.onReturn();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private settle(waiter: Waiter<E>): void {
    const { end } = this;
    if (typeof end !== 'object') waiter.resolve({ value: undefined, done: true });
    else {
      this.end = 'done';
      waiter.reject(end.error);
    }
  }

  private lossEvent(): E {
    const event = this.options.lost(this.lostByType, this.lostNow);
    this.lostByType = {};
    this.lostNow = 0;
    return event;
  }
}
