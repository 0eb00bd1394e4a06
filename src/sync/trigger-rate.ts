// How often block validation may be told to fetch from a sync peer, whoever the peers are: some at once, then one in a while, so that peers
// that come, claim and go cannot make us flood our own Kafka topic.
/** Triggers at once; more changes of the sync peer than happen by themselves within a minute. */
const BURST = 5;
const REFILL_MS = 10_000;

export class TriggerRate {
  private tokens = BURST;
  private atMs: number | undefined;

  /** `nowMs` is monotonic. */
  take(nowMs: number): boolean {
    const passedMs = nowMs - (this.atMs ?? nowMs);
    this.tokens = Math.min(BURST, this.tokens + passedMs / REFILL_MS);
    this.atMs = nowMs;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }
}
