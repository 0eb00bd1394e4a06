// A ban store that can be unavailable, slow, or refuse, in front of a real one in memory. Several in front of one store
// are several servers.
import { SqliteBanStore } from '../../src/adapters/sql/sqlite-ban-store.ts';
import type { BanEntry } from '../../src/domain/ban.ts';
import type { Offence } from '../../src/domain/offence.ts';
import { P2PError } from '../../src/lib/errors.ts';
import type { BanStore, LegacyBan, SeenAddress, StoreChange } from '../../src/ports/ban-store.ts';
import { recordingLogger } from './recorders.ts';

type Method = Exclude<keyof BanStore, 'isShared'>;

export interface StoreCall {
  readonly method: Method;
  readonly args: readonly unknown[];
}

export function memoryStore(): SqliteBanStore {
  return new SqliteBanStore({ log: recordingLogger() }, { path: ':memory:' });
}

export class FlakyBanStore implements BanStore {
  isShared = false;
  /** Calls that reached the store, in order, failed ones included. */
  readonly calls: StoreCall[] = [];
  /** Every call throws STORE_UNAVAILABLE while true. */
  isDown = false;
  /** Calls for which it is true throw STORE_FAILED. */
  refuses: (call: StoreCall) => boolean = () => false;
  /** A call waits for it before it is done. */
  before: (call: StoreCall) => Promise<unknown> | undefined = () => undefined;
  /** The result of a finished call waits for it. */
  after: (call: StoreCall) => Promise<unknown> | undefined = () => undefined;
  legacy: LegacyBan[] = [];
  private readonly listeners = new Set<(change: StoreChange) => void>();
  readonly inner: BanStore;

  constructor(inner: BanStore = memoryStore()) {
    this.inner = inner;
  }

  open = () => this.pass('open');
  close = () => this.pass('close');
  loadBans = () => this.pass('loadBans');
  loadBan = (key: string) => this.pass('loadBan', key);
  putBan = (entry: BanEntry) => this.pass('putBan', entry);
  removeBan = (key: string) => this.pass('removeBan', key);
  clearBans = () => this.pass('clearBans');
  loadScores = () => this.pass('loadScores');
  loadScoresOf = (subject: string) => this.pass('loadScoresOf', subject);
  addOffence = (offence: Offence, ceiling?: number) => this.pass('addOffence', offence, ceiling);
  resetScores = (subjects: readonly string[]) => this.pass('resetScores', subjects);
  loadAddresses = () => this.pass('loadAddresses');
  loadAddressesAt = (address: string) => this.pass('loadAddressesAt', address);
  putAddress = (seen: SeenAddress) => this.pass('putAddress', seen);
  purge = (nowMs: number) => this.pass('purge', nowMs);

  async legacyBans(): Promise<LegacyBan[]> {
    await this.pass('legacyBans');
    return this.legacy;
  }

  async legacyTaken(): Promise<void> {
    await this.pass('legacyTaken');
    this.legacy = [];
  }

  subscribe(listener: (change: StoreChange) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  get listenerCount(): number {
    return this.listeners.size;
  }

  /** As if another server had changed something. */
  tell(change: StoreChange): void {
    for (const listener of this.listeners) listener(change);
  }

  /** First arguments of the calls of a method. */
  argsOf(method: Method): unknown[] {
    return this.calls.filter((call) => call.method === method).map(({ args }) => args[0]);
  }

  private async pass<M extends Method>(
    method: M,
    ...args: Parameters<BanStore[M]>
  ): Promise<Awaited<ReturnType<BanStore[M]>>> {
    const call = { method, args };
    await this.before(call);
    this.calls.push(call);
    if (this.isDown) throw new P2PError('STORE_UNAVAILABLE', 'down');
    if (this.refuses(call)) throw new P2PError('STORE_FAILED', 'refused');
    const work = this.inner[method] as (...values: unknown[]) => Promise<Awaited<ReturnType<BanStore[M]>>>;
    const result = await work.apply(this.inner, args);
    await this.after(call);
    return result;
  }
}
