// Connects memory, which decides, with the store, which persists. Writes are queued in order and wait while the store
// is unavailable; changes by other servers are read again. No decision waits for the store.
import { BoundedQueue } from '../../lib/bounded-queue.ts';
import { settledWithin } from '../../lib/deadline.ts';
import { P2PError } from '../../lib/errors.ts';
import { pause } from '../../lib/pause.ts';
import type { BanStore, StoreChange } from '../../ports/ban-store.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';

export interface StoreLinkDependencies {
  readonly store: BanStore;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

interface Write {
  readonly keys: readonly string[];
  readonly work: (store: BanStore) => Promise<void>;
  readonly done: (isStored: boolean) => void;
  readonly lost: () => void;
}

/** Keys to read again. */
export type Changed = ReadonlySet<string> | 'all';

type Follower = { readonly type: 'ban' | 'score'; readonly reload: (changed: Changed) => Promise<void> };

/** Pending writes of bans, and as many others: an hour of bans and offences on a busy network. */
const MAX_WAITING = 10_000;
const MAX_DIRTY = 10_000;
const OPEN_DEADLINE_MS = 30_000;
/** How long a caller waits for its write. Afterwards, or at once while the store is down, it stays pending by itself. */
const WRITE_PATIENCE_MS = 1000;
const OPEN_RETRY_MS = 500;
/**
 * Pause between two attempts while writes are pending: other servers learn of a ban within a second after the store is
 * back.
 */
const RETRY_MS = 300;

export class StoreLink {
  private readonly deps: StoreLinkDependencies;
  /** Writes of bans precede those of scores and addresses, which never push them out of the queue. */
  private readonly bans: BoundedQueue<Write>;
  private readonly rest: BoundedQueue<Write>;
  private readonly written: Counter;
  private readonly pending = new Map<string, number>();
  /** Keys whose writes were settled during the current read. */
  private readonly settledMeanwhile = new Set<string>();
  /** Keys to read again once their writes are settled. */
  private readonly contested = new Set<string>();
  private readonly followers: { readonly follower: Follower; dirty: Set<string> | 'all' | undefined }[] = [];
  private readonly ended = new AbortController();
  private worker: Promise<void> | undefined;
  private reader: Promise<void> | undefined;
  private unsubscribe: (() => void) | undefined;
  private isDown = false;
  private isReading = false;
  private readonly onAvailable: (() => void)[] = [];
  /** Ends the pauses between attempts. */
  private woken = new AbortController();

  constructor(deps: StoreLinkDependencies) {
    this.deps = deps;
    const { metrics } = deps;
    this.written = metrics.counter('teranode_p2p_ban_store_writes_total', 'Writes to the ban store by outcome', [
      'outcome',
    ]);
    const bounds = { maxItems: MAX_WAITING, onDrop: (write: Write) => this.dropped(write) };
    this.bans = new BoundedQueue(bounds);
    this.rest = new BoundedQueue(bounds);
    for (const [kind, queue] of Object.entries({ bans: this.bans, others: this.rest })) {
      const name = 'teranode_p2p_ban_store_queue_length';
      const gauge = { name, help: 'Pending writes to the ban store', labels: { kind } };
      gaugeWithBound(metrics, gauge, () => queue.length, MAX_WAITING);
    }
    metrics.gauge('teranode_p2p_ban_store_up', '1 while the ban store is available', () => (this.isDown ? 0 : 1));
  }

  get store(): BanStore {
    return this.deps.store;
  }

  /** False after a write that found the store unavailable. */
  get isUp(): boolean {
    return !this.isDown && !this.ended.signal.aborted;
  }

  /** True while the store is available and no write is pending. */
  get isIdle(): boolean {
    return this.isUp && this.waiting === 0;
  }

  /** Pending writes. */
  get waiting(): number {
    return this.bans.length + this.rest.length;
  }

  /** Opens the store; waits up to 30 s for one that is not available yet. Throws STORE_UNAVAILABLE, STORE_FAILED. */
  async open(signal: AbortSignal): Promise<void> {
    const { store, clock, log } = this.deps;
    const endMs = clock.monotonic() + OPEN_DEADLINE_MS;
    for (;;) {
      try {
        await store.open();
        break;
      } catch (error) {
        if (!isUnavailable(error) || clock.monotonic() > endMs) throw error;
        log.warn({ err: error }, 'ban store unavailable, retrying');
      }
      await pause(OPEN_RETRY_MS, signal);
      signal.throwIfAborted();
    }
    this.unsubscribe = store.subscribe((change) => this.changed(change));
  }

  /**
   * Registers a reader of other servers' changes. `reload` may throw STORE_UNAVAILABLE; it is then called again later.
   */
  follow(follower: Follower): void {
    this.followers.push({ follower, dirty: undefined });
  }

  /** Starts reading changes by other servers, those since `open` included. Call it after the first load. */
  startReading(): void {
    this.isReading = true;
    this.read();
  }

  /**
   * For `reload`: true when a write of this key was pending at some time since the read began, so that the result may
   * be outdated. The key is read again once that write is settled: all servers converge on the last write.
   */
  isContested(key: string): boolean {
    if (!this.pending.has(key) && !this.settledMeanwhile.has(key)) return false;
    this.contested.add(key);
    return true;
  }

  /** Writes of this key that have not reached the store, the current one included. */
  pendingCount(key: string): number {
    return this.pending.get(key) ?? 0;
  }

  /**
   * Calls `listener` each time the store is available again and everything pending is written, and at stop: it writes
   * again what was lost.
   */
  whenAvailable(listener: () => void): void {
    this.onAvailable.push(listener);
  }

  /**
   * Queues a write of a key, or of several. Resolves with true when it is stored, and with false when it is not: refused,
   * dropped, or still pending after a second, or at once while the store is known to be unavailable. Never throws. `lost`
   * is called when the store refused the write, or a full queue dropped it.
   */
  write(
    key: string | readonly string[],
    work: (store: BanStore) => Promise<void>,
    lost: () => void = () => {},
  ): Promise<boolean> {
    if (this.ended.signal.aborted) {
      this.written.add(1, { outcome: 'dropped' });
      return Promise.resolve(false);
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), this.isDown ? 0 : WRITE_PATIENCE_MS);
    const keys = typeof key === 'string' ? [key] : key;
    for (const each of keys) this.pending.set(each, (this.pending.get(each) ?? 0) + 1);
    const done = (isStored: boolean) => {
      clearTimeout(timer);
      resolve(isStored);
    };
    (isOfBans(keys) ? this.bans : this.rest).push({ keys, work, done, lost });
    this.worker ??= this.drain();
    return promise;
  }

  private next(): Write | undefined {
    return this.bans.shift() ?? this.rest.shift();
  }

  /**
   * Writes what is pending, for at most `deadlineMs`, then closes the store. An unavailable store is tried once more, at
   * once; when it answers, it gets all the time. May be called twice.
   */
  async close(deadlineMs: number): Promise<void> {
    this.unsubscribe?.();
    const endMs = this.deps.clock.monotonic() + deadlineMs;
    if (this.isDown) {
      this.wake();
      await this.settledWorker(Math.min(RETRY_MS, deadlineMs));
    }
    await this.allWritten(endMs);
    if (this.isIdle && this.worker === undefined) {
      this.repeatLost();
      await this.allWritten(endMs);
    }
    this.ended.abort();
    this.wake();
    if (this.waiting > 0) this.deps.log.warn({ writes: this.waiting }, 'ban store unavailable at stop, writes lost');
    for (let write = this.next(); write !== undefined; write = this.next()) this.dropped(write);
    await this.deps.store.close();
  }

  /** The worker that finds everything written may begin to write again what was lost. */
  private async allWritten(endMs: number): Promise<void> {
    while (!this.isDown && this.worker !== undefined) {
      if (!(await this.settledWorker(endMs - this.deps.clock.monotonic()))) return;
    }
  }

  private repeatLost(): void {
    for (const listener of this.onAvailable) listener();
  }

  private async settledWorker(deadlineMs: number): Promise<boolean> {
    return this.worker === undefined || (await settledWithin([this.worker], deadlineMs));
  }

  private async drain(): Promise<void> {
    let failures = 0;
    let wasDown = this.isDown;
    // Yields once, so that `worker` is assigned before a run that ends at once clears it.
    await Promise.resolve();
    for (let write = this.next(); write !== undefined; write = this.next()) {
      const outcome = await this.attempt(write, failures);
      if (outcome === 'again') {
        wasDown = true;
        failures += 1;
        if (!this.ended.signal.aborted) {
          (isOfBans(write.keys) ? this.bans : this.rest).unshift(write);
          await pause(RETRY_MS, this.woken.signal);
        } else this.dropped(write);
        continue;
      }
      failures = 0;
      this.written.add(1, { outcome });
      if (outcome === 'refused') write.lost();
      this.settled(write, outcome === 'written');
    }
    // In the same step in which the queue was found empty: the next write starts a new worker.
    this.worker = undefined;
    if (wasDown && this.isUp) this.repeatLost();
  }

  private async attempt(write: Write, failures: number): Promise<'written' | 'refused' | 'again'> {
    const { store, log } = this.deps;
    try {
      await write.work(store);
      if (this.isDown) log.info({ waiting: this.waiting }, 'ban store available again');
      this.isDown = false;
      return 'written';
    } catch (error) {
      if (isUnavailable(error)) {
        this.isDown = true;
        if (failures === 0) log.warn({ err: error }, 'ban store unavailable; bans stay in force, writes are queued');
        return 'again';
      }
      log.error({ err: error, key: write.keys[0] }, 'ban store refused a write');
      return 'refused';
    }
  }

  private dropped(write: Write): void {
    this.written.add(1, { outcome: 'dropped' });
    write.lost();
    this.settled(write, false);
  }

  private settled(write: Write, isStored: boolean): void {
    for (const key of write.keys) {
      const left = (this.pending.get(key) ?? 1) - 1;
      if (left > 0) this.pending.set(key, left);
      else this.pending.delete(key);
      if (this.reader !== undefined) this.settledMeanwhile.add(key);
    }
    if (this.reader === undefined) this.readContested();
    write.done(isStored);
  }

  private changed(change: StoreChange): void {
    // Sent with each new connection to the store: pending work need not wait any longer.
    if (change.type === 'all') this.wake();
    if (change.type === 'all') for (const each of this.followers) each.dirty = 'all';
    else this.mark(change.type, change.type === 'ban' ? change.key : change.subject);
    this.read();
  }

  private wake(): void {
    this.woken.abort();
    if (!this.ended.signal.aborted) this.woken = new AbortController();
  }

  private mark(type: string, key: string): void {
    for (const each of this.followers) {
      if (each.follower.type !== type || each.dirty === 'all') continue;
      each.dirty ??= new Set();
      each.dirty.add(key);
      if (each.dirty.size > MAX_DIRTY) each.dirty = 'all';
    }
  }

  private read(): void {
    if (this.isReading) this.reader ??= this.readAgain();
  }

  /** Keys of writes consist of a follower's type, a space, and its key. */
  private readContested(): void {
    for (const key of this.contested) {
      if (this.pending.has(key)) continue;
      this.contested.delete(key);
      const space = key.indexOf(' ');
      this.mark(key.slice(0, space), key.slice(space + 1));
      this.read();
    }
  }

  private async readAgain(): Promise<void> {
    await Promise.resolve();
    while (!this.ended.signal.aborted) {
      const next = this.followers.find(({ dirty }) => dirty !== undefined);
      if (next?.dirty === undefined) break;
      const { dirty } = next;
      next.dirty = undefined;
      this.settledMeanwhile.clear();
      try {
        await next.follower.reload(dirty);
        this.readContested();
      } catch (error) {
        this.deps.log.debug({ err: error }, 'failed to read changes by other servers, retrying');
        next.dirty = 'all';
        await pause(RETRY_MS, this.woken.signal);
      }
    }
    this.reader = undefined;
    this.settledMeanwhile.clear();
  }
}

function isOfBans([key]: readonly string[]): boolean {
  return key === 'legacy' || key?.startsWith('ban ') === true;
}

function isUnavailable(error: unknown): boolean {
  return error instanceof P2PError && error.code === 'STORE_UNAVAILABLE';
}
