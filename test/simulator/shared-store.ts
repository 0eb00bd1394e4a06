// A ban store that several nodes may share, in memory, as PostgreSQL is shared: a change by one node is told to the
// others a little later. It outlasts the nodes.
import { SqliteBanStore } from '../../src/adapters/sql/sqlite-ban-store.ts';
import type { BanEntry } from '../../src/domain/ban.ts';
import type { Offence } from '../../src/domain/offence.ts';
import type { BanStore, SeenAddress, StoreChange } from '../../src/ports/ban-store.ts';
import type { Logger } from '../../src/ports/log.ts';
import type { VirtualTime } from './virtual-time.ts';

type Listener = (change: StoreChange) => void;

const TOLD_AFTER_MS = 20;

export class SharedStore {
  private readonly time: VirtualTime;
  private readonly database: SqliteBanStore;
  private readonly listeners = new Map<BanStore, Listener>();
  private readonly isShared: boolean;

  constructor(deps: { readonly time: VirtualTime; readonly log: Logger }, isShared: boolean) {
    this.time = deps.time;
    this.isShared = isShared;
    this.database = new SqliteBanStore({ log: deps.log }, { path: ':memory:' });
  }

  /** What one node opens and closes. */
  connection(): BanStore {
    const { database } = this;
    const tell = (change: StoreChange) => this.tell(store, change);
    const store: BanStore = {
      isShared: this.isShared,
      open: () => database.open(),
      close: async () => void this.listeners.delete(store),
      loadBans: () => database.loadBans(),
      loadBan: (key) => database.loadBan(key),
      putBan: async (entry: BanEntry) => {
        await database.putBan(entry);
        tell({ type: 'ban', key: entry.key });
      },
      removeBan: async (key) => {
        await database.removeBan(key);
        tell({ type: 'all' });
      },
      clearBans: async () => {
        await database.clearBans();
        tell({ type: 'all' });
      },
      loadScores: () => database.loadScores(),
      loadScoresOf: (subject) => database.loadScoresOf(subject),
      addOffence: async (offence: Offence, ceiling) => {
        const row = await database.addOffence(offence, ceiling);
        tell({ type: 'score', subject: offence.subject });
        return row;
      },
      resetScores: async (subjects) => {
        await database.resetScores(subjects);
        for (const subject of subjects) tell({ type: 'score', subject });
      },
      loadAddresses: () => database.loadAddresses(),
      loadAddressesAt: (address) => database.loadAddressesAt(address),
      putAddress: (seen: SeenAddress) => database.putAddress(seen),
      purge: (nowMs) => database.purge(nowMs),
      legacyBans: async () => [],
      legacyTaken: async () => {},
      subscribe: (listener) => {
        this.listeners.set(store, listener);
        return () => this.listeners.delete(store);
      },
    };
    return store;
  }

  async close(): Promise<void> {
    await this.database.close();
  }

  private tell(from: BanStore, change: StoreChange): void {
    for (const [store, listener] of this.listeners)
      if (store !== from)
        this.time.after(TOLD_AFTER_MS, () => {
          if (this.listeners.get(store) === listener) listener(change);
        });
  }
}
