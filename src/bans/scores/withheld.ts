// Remembers which bans were not carried out, and why, for `explain`: because of shadow mode, or because they would hit
// other peers.
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { Clock } from '../../ports/clock.ts';

const MAX_NOTES = 20;
const MAX_SUBJECTS = 1000;

export class Withheld {
  private readonly clock: Clock;
  private readonly notes = new BoundedMap<string, readonly string[]>({ max: MAX_SUBJECTS });

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Notes of a subject, latest last. */
  of(subject: string): readonly string[] {
    return this.notes.get(subject) ?? [];
  }

  add(subject: string, text: string): void {
    const line = `${new Date(this.clock.now()).toISOString()} ${text}`;
    this.notes.set(subject, [...this.of(subject), line].slice(-MAX_NOTES));
  }

  /** Whether the latest note of the subject says the same. */
  isLatest(subject: string, text: string): boolean {
    return this.of(subject).at(-1)?.endsWith(text) === true;
  }

  forget(subject: string): void {
    this.notes.delete(subject);
  }
}
