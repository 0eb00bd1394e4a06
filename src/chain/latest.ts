// The newest known value of something that a service returns on request and also notifies. However many callers ask,
// one request is under way. The rule that a newer notification wins over an older answer is here and nowhere else.
import type { Clock } from '../ports/clock.ts';

export interface LatestOptions<T> {
  readonly ask: () => Promise<T>;
  /** Called with each new value, by notification or answer, before any caller gets it. */
  readonly onValue?: (value: T, previous: T | undefined) => void;
}

export class Latest<T> {
  private readonly clock: Clock;
  private readonly options: LatestOptions<T>;
  private value: T | undefined;
  /** Order of requests and notifications: each takes the next number. */
  private events = 0;
  private valueEvent = 0;
  /** Values of requests before this event are outdated. */
  private outdatedEvent = 0;
  private knownAtMs = Number.NEGATIVE_INFINITY;
  private request: Promise<T> | undefined;

  constructor(clock: Clock, options: LatestOptions<T>) {
    this.clock = clock;
    this.options = options;
  }

  /** The last known value, however old; undefined before the first. */
  get known(): T | undefined {
    return this.value;
  }

  /** A notification brings the value. Answers to requests that are under way are older, and ignored. */
  notified(value: T): void {
    this.events += 1;
    this.request = undefined;
    this.keep(value, this.events);
  }

  /** Something has changed: the known value and the answers to requests under way are too old for later callers. */
  outdate(): void {
    this.events += 1;
    this.outdatedEvent = this.events;
    this.knownAtMs = Number.NEGATIVE_INFINITY;
    this.request = undefined;
  }

  /**
   * The value, if it is younger than `maxAgeMs` and not outdated; else the service is asked. Throws what the service
   * throws.
   */
  async recent(maxAgeMs: number): Promise<T> {
    const { value } = this;
    if (value !== undefined && this.clock.monotonic() - this.knownAtMs < maxAgeMs) return value;
    this.request ??= this.ask();
    return await this.request;
  }

  private ask(): Promise<T> {
    this.events += 1;
    const event = this.events;
    const request: Promise<T> = this.answer(event).finally(() => {
      if (this.request === request) this.request = undefined;
    });
    return request;
  }

  private async answer(event: number): Promise<T> {
    const answer = await this.options.ask();
    if (event > this.valueEvent) this.keep(answer, event);
    return this.value ?? answer;
  }

  private keep(value: T, event: number): void {
    const previous = this.value;
    this.value = value;
    this.valueEvent = event;
    if (event > this.outdatedEvent) this.knownAtMs = this.clock.monotonic();
    this.options.onValue?.(value, previous);
  }
}
