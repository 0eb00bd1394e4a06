// Writes the ban list to the store. A write that the store refused, or that a full queue dropped, is remembered by its
// key and repeated: its absence from the store must never be mistaken for another server having lifted the ban.
import type { BanEntry } from '../../domain/ban.ts';
import { singleFlight } from '../../lib/single-flight.ts';
import type { Clock } from '../../ports/clock.ts';
import { gaugeWithBound, type Metrics } from '../../ports/metrics.ts';
import type { StoreLink } from './store-link.ts';

export interface BanWritesDependencies {
  readonly link: StoreLink;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** The ban of a key that is in force. */
  readonly entryOf: (key: string) => BanEntry | undefined;
}

/** Lost removals remembered besides the bans in force. Beyond that the oldest is forgotten, and the store decides. */
const MAX_LOST_REMOVALS = 10_000;
const WRITES_AT_ONCE = 1000;

/** Order and time of a lost write. */
interface Loss {
  readonly turn: number;
  readonly atMs: number;
}

export class BanWrites {
  private readonly deps: BanWritesDependencies;
  private readonly maxLost: number;
  private readonly lost = new Map<string, Loss>();
  private turns = 0;

  constructor(deps: BanWritesDependencies, options: { readonly maxEntries: number }) {
    this.deps = deps;
    this.maxLost = options.maxEntries + MAX_LOST_REMOVALS;
    const gauge = { name: 'teranode_p2p_bans_unwritten', help: 'Changes of bans to be written to the store again' };
    gaugeWithBound(deps.metrics, gauge, () => this.lost.size, this.maxLost);
    deps.link.whenAvailable(() => void this.rewrite());
  }

  /** Changes that the store refused, or that a full queue dropped. */
  get lostCount(): number {
    return this.lost.size;
  }

  /** Resolves as {@link StoreLink.write}. */
  put(entry: BanEntry): Promise<boolean> {
    return this.write(entry.key, entry);
  }

  /** Resolves as {@link StoreLink.write}. */
  remove(key: string): Promise<boolean> {
    return this.write(key, undefined);
  }

  /** Removes all bans from the store; `keys` are those that were in force. */
  clear(keys: readonly string[]): Promise<boolean> {
    const loss = this.nextTurn();
    this.lost.clear();
    return this.deps.link.write(
      'ban *',
      (store) => store.clearBans(),
      () => {
        for (const key of keys) this.lose(key, loss);
      },
    );
  }

  /** Time of the lost write of a key; undefined when the store has received all its writes. */
  lostAtMs(key: string): number | undefined {
    return this.lost.get(key)?.atMs;
  }

  /** Stops remembering a lost write: the store need not have it. */
  forget(key: string): void {
    this.lost.delete(key);
  }

  /** Writes the current ban of a key, or its removal. */
  again(key: string): void {
    void this.write(key, this.deps.entryOf(key), this.lost.get(key)?.atMs);
  }

  /**
   * Repeats all lost writes while the store is available and no write is pending; called every minute, and when the store
   * is available again.
   */
  readonly rewrite = singleFlight(async () => {
    const { link } = this.deps;
    const keys = [...this.lost.keys()];
    for (let at = 0; at < keys.length && link.isIdle; at += WRITES_AT_ONCE) {
      const some = keys.slice(at, at + WRITES_AT_ONCE).filter((key) => this.lost.has(key));
      await Promise.all(some.map((key) => this.write(key, this.deps.entryOf(key), this.lost.get(key)?.atMs)));
    }
  });

  private write(key: string, entry: BanEntry | undefined, atMs?: number): Promise<boolean> {
    const loss = this.nextTurn(atMs);
    return this.deps.link.write(
      `ban ${key}`,
      async (store) => {
        await (entry === undefined ? store.removeBan(key) : store.putBan(entry));
        // A later write of the key may have been lost while this one was pending.
        if ((this.lost.get(key)?.turn ?? 0) <= loss.turn) this.lost.delete(key);
      },
      () => this.lose(key, loss),
    );
  }

  private nextTurn(atMs = this.deps.clock.now()): Loss {
    this.turns += 1;
    return { turn: this.turns, atMs };
  }

  private lose(key: string, loss: Loss): void {
    if ((this.lost.get(key)?.turn ?? 0) > loss.turn) return;
    this.lost.set(key, loss);
    if (this.lost.size <= this.maxLost) return;
    for (const each of this.lost.keys()) {
      if (this.deps.entryOf(each) !== undefined) continue;
      this.lost.delete(each);
      return;
    }
  }
}
