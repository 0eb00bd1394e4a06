// How many socket writes per second go to WebSocket clients. A write costs 10 to 20 µs whatever it carries: within the
// budget each frame is written at once; beyond it writes wait, and the frames that come meanwhile are joined to them.

/** What up to 200 clients share: about a fifteenth of a core. One client gets 5,000 frames per second unjoined. */
const MIN_PER_SECOND = 5000;
/**
 * Up to 1,000 clients the budget grows so that none waits longer: too short for people to notice. Also the longest
 * pause, and how long unused writes are saved up: a frame after a pause goes to 1,000 clients at once.
 */
const MAX_WAIT_MS = 40;
/** About a third of a core. More clients than 1,000 wait longer, in proportion. */
const MAX_PER_SECOND = 25_000;

export class WriteBudget {
  /** Until when the writes so far have used the budget; in the past while some is left. */
  private usedUntilMs = Number.NEGATIVE_INFINITY;

  /** How long to wait before the next write; 0: not at all. */
  delayMs(nowMs: number): number {
    return Math.max(0, this.usedUntilMs - nowMs);
  }

  /** Counts writes that were done. `clients`: how many there are in all. */
  charge(writes: number, clients: number, nowMs: number): void {
    const perSecond = Math.min(MAX_PER_SECOND, Math.max(MIN_PER_SECOND, (clients * 1000) / MAX_WAIT_MS));
    const usedFromMs = Math.max(this.usedUntilMs, nowMs - MAX_WAIT_MS);
    this.usedUntilMs = Math.min(usedFromMs + (writes * 1000) / perSecond, nowMs + MAX_WAIT_MS);
  }
}
