// Time that jumps from event to event. While it is installed, the timers and clocks of the process are its own, so that
// hours pass in milliseconds and the same seed gives the same order.
import { MinHeap } from '../../src/lib/min-heap.ts';
import type { Random } from './random.ts';

/** Any Unix time will do; tests of clock skew move around it. */
export const EPOCH_MS = 1_800_000_000_000;

interface Event {
  readonly atMs: number;
  /** Events of the same time run in the order in which they were planned. */
  readonly order: number;
  readonly run: () => void;
  isCancelled: boolean;
}

type Callback = (...args: unknown[]) => void;

/** What `setTimeout` and `setInterval` return. */
class Timer {
  event: Event | undefined;

  cancel(): void {
    if (this.event !== undefined) this.event.isCancelled = true;
    this.event = undefined;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

const realImmediate = setImmediate;

export class VirtualTime {
  nowMs = 0;
  /** Events that ran. */
  events = 0;
  private order = 0;
  private readonly queue = new MinHeap<Event>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order));

  after(delayMs: number, run: () => void): Event {
    this.order += 1;
    const event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.order, run, isCancelled: false };
    this.queue.push(event);
    return event;
  }

  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }

  /** Runs all events of the next `ms`, and what they lead to. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    await settled();
    for (let next = this.queue.peek(); next !== undefined && next.atMs <= untilMs; next = this.queue.peek()) {
      this.queue.pop();
      if (next.isCancelled) continue;
      this.nowMs = next.atMs;
      this.events += 1;
      next.run();
      await settled();
    }
    this.nowMs = untilMs;
  }

  /** Runs events until `work` has settled. Throws when it has not within `limitMs`. */
  async complete<T>(work: Promise<T>, limitMs = 60_000): Promise<T> {
    let isDone = false;
    const done = () => {
      isDone = true;
    };
    work.then(done, done);
    const endMs = this.nowMs + limitMs;
    await settled();
    while (!isDone && this.nowMs < endMs) await this.advance(Math.min(5, endMs - this.nowMs));
    if (!isDone) throw new Error(`not done within ${limitMs} ms of virtual time`);
    return await work;
  }

  /**
   * Replaces the timers, clocks and random numbers of this process until the returned function is called. What draws on
   * the crypto library still differs from run to run.
   */
  install(random: Random): () => void {
    const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
    const { now } = Date;
    const { random: mathRandom } = Math;
    const repeat = (timer: Timer, run: () => void, ms: number) => {
      timer.event = this.after(ms, () => {
        repeat(timer, run, ms);
        run();
      });
    };
    const cancel = (timer: unknown) => {
      if (timer instanceof Timer) timer.cancel();
    };
    const planned = {
      setTimeout: (callback: Callback, ms = 0, ...args: unknown[]) => {
        const timer = new Timer();
        timer.event = this.after(ms, () => callback(...args));
        return timer;
      },
      setInterval: (callback: Callback, ms = 0, ...args: unknown[]) => {
        const timer = new Timer();
        repeat(timer, () => callback(...args), Math.max(1, ms));
        return timer;
      },
      clearTimeout: cancel,
      clearInterval: cancel,
    };
    Object.assign(globalThis, planned);
    Math.random = random.fork().next;
    Date.now = () => Math.floor(EPOCH_MS + this.nowMs);
    Object.defineProperty(performance, 'now', { value: () => this.nowMs, configurable: true });
    return () => {
      Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval });
      Date.now = now;
      Math.random = mathRandom;
      Reflect.deleteProperty(performance, 'now');
    };
  }
}

/** Resolves when every promise that can go on without a timer has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => void realImmediate(resolve));
}
