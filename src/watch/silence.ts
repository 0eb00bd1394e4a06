// Which feeds have fallen silent: no valid message for longer than their bound, while peers are connected. Told once for
// each silence. Pure: who calls it brings the time.
import type { Clock } from '../ports/clock.ts';

export interface Silence<F extends string> {
  readonly feed: F;
  /** Unix ms of the last message or, before the first, of the start. */
  readonly sinceMs: number;
}

interface Feed {
  readonly boundMs: number;
  /** Unix ms, for people; and monotonic ms, for the age. */
  lastMs: number;
  heardMs: number;
  isTold: boolean;
}

export class SilenceWatch<F extends string> {
  private readonly clock: Clock;
  private readonly feeds: ReadonlyMap<F, Feed>;
  private wasConnected = false;

  /** `boundsMs`: the feeds to watch. */
  constructor(deps: { readonly clock: Clock }, boundsMs: ReadonlyMap<F, number>) {
    this.clock = deps.clock;
    const now = { lastMs: this.clock.now(), heardMs: this.clock.monotonic() };
    this.feeds = new Map([...boundsMs].map(([feed, boundMs]) => [feed, { boundMs, ...now, isTold: false }]));
  }

  /** A valid message of the feed came. */
  heard(feed: F): void {
    const known = this.feeds.get(feed);
    if (known === undefined) return;
    known.lastMs = this.clock.now();
    known.heardMs = this.clock.monotonic();
    known.isTold = false;
  }

  /** The silences that have begun since the last call. A feed has its whole bound again once peers are connected. */
  check(isConnected: boolean): Silence<F>[] {
    const nowMs = this.clock.monotonic();
    if (isConnected && !this.wasConnected) for (const feed of this.feeds.values()) feed.heardMs = nowMs;
    this.wasConnected = isConnected;
    if (!isConnected) return [];
    return [...this.feeds].flatMap(([feed, known]) => {
      if (known.isTold || nowMs - known.heardMs < known.boundMs) return [];
      known.isTold = true;
      return [{ feed, sinceMs: known.lastMs }];
    });
  }
}
