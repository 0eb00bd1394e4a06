// How the list of bans reaches the store. A write that the store refused, or that had to make room, is remembered by its key and made again:
// the store not knowing of it must never be taken for somebody's lifting it.
import type { BanEntry } from '../../ports/ban-store.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Metrics } from '../../ports/metrics.ts';
import type { StoreLink } from './store-link.ts';

export interface BanWritesDependencies {
  readonly link: StoreLink;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** What is in force of a key. */
  readonly entryOf: (key: string) => BanEntry | undefined;
}

/** Removals that were lost, beside the bans in force; then those lost first are forgotten, and the store decides. */
const MAX_LOST_REMOVALS = 10_000;
const WRITES_AT_ONCE = 1000;

/** Which write it was, in their order, and when. */
interface Loss {
  readonly turn: number;
  readonly atMs: number;
}

export class BanWrites {
  private readonly deps: BanWritesDependencies;
  private readonly maxLost: number;
  private readonly lost = new Map<string, Loss>();
  private turns = 0;
  private rewriting: Promise<void> | undefined;

  constructor(deps: BanWritesDependencies, options: { readonly maxEntries: number }) {
    this.deps = deps;
    this.maxLost = options.maxEntries + MAX_LOST_REMOVALS;
    const { metrics } = deps;
    metrics.gauge('teranode_p2p_bans_unwritten', 'Bans and liftings to be written again', () => this.lost.size);
    metrics.gauge('teranode_p2p_bans_unwritten_bound', 'Such at most', () => this.maxLost);
  }

  /** Resolves as {@link StoreLink.write}. */
  put(entry: BanEntry): Promise<void> {
    return this.write(entry.key, entry);
  }

  /** Resolves as {@link StoreLink.write}. */
  remove(key: string): Promise<void> {
    return this.write(key, undefined);
  }

  /** Takes all bans out of the store; `keys` are those that were in force. */
  clear(keys: readonly string[]): Promise<void> {
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

  /** When the change of this key was made that the store did not get; undefined when it got them all. */
  lostAtMs(key: string): number | undefined {
    return this.lost.get(key)?.atMs;
  }

  /** What is in force of this key is no longer the store's business. */
  forget(key: string): void {
    this.lost.delete(key);
  }

  /** Writes what is in force of a key. */
  again(key: string): void {
    void this.write(key, this.deps.entryOf(key), this.lost.get(key)?.atMs);
  }

  /** Writes all that was lost, once the store answers and nothing waits; called each minute. */
  rewrite(): void {
    this.rewriting ??= this.rewriteAll().finally(() => {
      this.rewriting = undefined;
    });
  }

  private async rewriteAll(): Promise<void> {
    const { link } = this.deps;
    const keys = [...this.lost.keys()];
    for (let at = 0; at < keys.length && link.isIdle; at += WRITES_AT_ONCE) {
      const some = keys.slice(at, at + WRITES_AT_ONCE).filter((key) => this.lost.has(key));
      await Promise.all(some.map((key) => this.write(key, this.deps.entryOf(key), this.lost.get(key)?.atMs)));
    }
  }

  private write(key: string, entry: BanEntry | undefined, atMs?: number): Promise<void> {
    const loss = this.nextTurn(atMs);
    return this.deps.link.write(
      `ban ${key}`,
      async (store) => {
        await (entry === undefined ? store.removeBan(key) : store.putBan(entry));
        // A later write of the key may have been lost while this one waited.
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
