// Who is banned (spec `BanListI`): IPs, subnets and peer IDs, each under one canonical key. Memory answers lookups, the
// store keeps bans across restarts. A ban in memory is in force whether or not the store is available. Each change is
// returned, for the service to enforce.

import type { Ban, BanEntry, BanKey } from '../../domain/ban.ts';
import type { PeerId } from '../../domain/ids.ts';
import type { IpAddress } from '../../lib/ip.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';
import { BanWrites } from '../store/ban-writes.ts';
import type { Changed, StoreLink } from '../store/store-link.ts';
import { BanIndex, banWith, entryOf } from './ban-index.ts';
import { parseBanKey } from './ban-key.ts';
import { banClass, fitting, maxUnconnected, outlasts, selectEviction } from './eviction.ts';
import { legacyBans } from './legacy-bans.ts';
import { type BanFacts, limited, newBan } from './new-ban.ts';
import { whyNotTakenOver } from './takeover.ts';

export type BanEvent =
  | { readonly type: 'added'; readonly entry: Ban }
  | { readonly type: 'removed'; readonly entry: Ban; readonly why: 'lifted' | 'expired' | 'full' };

/** What changed; `left_out` is a ban of another server that does not apply here. */
export type BanChange = BanEvent | { readonly type: 'left_out'; readonly entry: BanEntry; readonly why: string };

export type BanListener = (event: BanEvent) => void;

/**
 * The result of a change that is in force; `stored` resolves within a second or so with whether it is stored, see
 * {@link StoreLink.write}.
 */
export interface Changes {
  readonly changes: readonly BanChange[];
  readonly stored: Promise<boolean>;
}

export interface BanListOptions {
  /** `p2p_ban_default_duration`. */
  readonly defaultDurationMs: number;
  /** `p2p_ban_max_entries`. */
  readonly maxEntries: number;
}

export interface BanListDependencies {
  readonly link: StoreLink;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Peers seen at a canonical address within 24 hours. */
  readonly peersAt?: (address: string) => readonly PeerId[];
}

const BY_OPERATOR: BanFacts = {
  reason: 'banned by the operator',
  evidence: '',
  source: 'operator',
  causedBy: undefined,
};
const WRITES_AT_ONCE = 1000;
const EVICTION_LOG_INTERVAL_MS = 60_000;

export class BanList {
  private readonly deps: BanListDependencies;
  private readonly options: BanListOptions;
  private readonly index = new BanIndex();
  private readonly listeners = new Set<BanListener>();
  private readonly writes: BanWrites;
  private readonly maxUnconnected: number;
  private readonly evicted: Counter;
  private evictionLoggedMs = Number.NEGATIVE_INFINITY;
  private unloggedEvictions = 0;

  constructor(deps: BanListDependencies, options: BanListOptions) {
    this.deps = deps;
    this.options = options;
    const gauge = { name: 'teranode_p2p_bans', help: 'Bans in force' };
    gaugeWithBound(deps.metrics, gauge, () => this.index.size, options.maxEntries);
    this.maxUnconnected = maxUnconnected(options.maxEntries);
    const help = 'Automatic bans in force of authors that were not connected when they were banned';
    const unconnected = { name: 'teranode_p2p_bans_unconnected', help };
    gaugeWithBound(deps.metrics, unconnected, () => this.index.order.size('unconnected'), this.maxUnconnected);
    this.evicted = deps.metrics.counter('teranode_p2p_bans_evicted_total', 'Bans that left a full list, by class', [
      'class',
    ]);
    this.writes = new BanWrites({ ...deps, entryOf: (key) => this.entry(key) }, options);
  }

  /** Loads the bans of the store, and imports those of a Go deployment once. The link must be open. */
  async init(): Promise<readonly BanChange[]> {
    const { link, clock, log } = this.deps;
    const now = clock.now();
    const kept = (await link.store.loadBans()).filter((entry) => entry.untilMs > now);
    const leftOut = this.inOrder(kept).flatMap((entry) => this.load(entry));
    const imported = await this.importLegacy(now);
    log.info({ bans: this.index.size }, 'bans loaded');
    return [...leftOut, ...imported];
  }

  /** Whether one ban covers all of the key: an IP or a peer ID, or every address of a subnet. */
  isBanned(key: BanKey): boolean {
    return this.banOf(key) !== undefined;
  }

  /** The ban that covers all of the key. */
  banOf(key: BanKey): BanEntry | undefined {
    const now = this.deps.clock.now();
    const ban = key.kind === 'peer' ? this.index.peer(key.key, now) : this.index.address(key.ip, now, key.prefix);
    return ban && entryOf(ban);
  }

  banOfPeer(peerId: PeerId): BanEntry | undefined {
    return this.index.peer(peerId, this.deps.clock.now());
  }

  banOfAddress(ip: IpAddress): BanEntry | undefined {
    return this.index.address(ip, this.deps.clock.now());
  }

  /**
   * Bans until a time (unix ms; default `p2p_ban_default_duration` from now) and replaces an earlier ban of the key.
   * `isInForce` is false, and nothing has changed, when the list is full and no ban may be evicted for this one. Throws
   * INPUT_INVALID and changes nothing.
   */
  add(key: BanKey, untilMs?: number, facts = BY_OPERATOR): Changes & { entry: BanEntry; isInForce: boolean } {
    const now = this.deps.clock.now();
    const entry = newBan(key, untilMs ?? now + this.options.defaultDurationMs, facts, now);
    const inserted = this.insert(banWith(key, entry));
    if (inserted === undefined) return { entry, isInForce: false, changes: [], stored: Promise.resolve(false) };
    return { entry, isInForce: true, ...inserted };
  }

  /** Replaces the evidence of a ban, unless it has ended or was replaced. */
  note(entry: BanEntry, evidence: string): void {
    const known = this.index.get(entry.key);
    if (known === undefined || !isSame(known, entry)) return;
    const noted = { ...known, evidence: limited(evidence) };
    this.index.set(noted);
    void this.writes.put(entryOf(noted));
  }

  /** Lifts the ban of this key and those that it caused. */
  remove(key: BanKey): Changes & { readonly lifted: readonly BanEntry[] } {
    const now = this.deps.clock.now();
    const dropped = [...this.index.bans()].filter(
      (ban) => ban.key === key.key || (key.kind === 'peer' && ban.causedBy === key.key),
    );
    const changes = dropped.map((ban) => this.drop(ban, ban.untilMs > now ? 'lifted' : 'expired'));
    // The key itself too: maybe only the store has it.
    const keys = new Set([key.key, ...dropped.map((ban) => ban.key)]);
    const stored = Promise.all([...keys].map((each) => this.writes.remove(each))).then((all) => all.every(Boolean));
    const lifted = dropped.filter(({ untilMs }) => untilMs > now).map(entryOf);
    return { lifted, changes: this.notified(changes), stored };
  }

  /** Changes that the store refused, or that a full queue dropped; they are repeated. */
  get lostWrites(): number {
    return this.writes.lostCount;
  }

  /** Canonical keys of all bans in force. */
  listBanned(): string[] {
    return this.entries().map((entry) => entry.key);
  }

  entries(): BanEntry[] {
    return this.page(0).bans;
  }

  /** As `BanService.page` has it: only the bans of the page are copied. */
  page(offset: number, limit = Number.POSITIVE_INFINITY): { readonly total: number; readonly bans: BanEntry[] } {
    const now = this.deps.clock.now();
    const bans: BanEntry[] = [];
    let total = 0;
    for (const ban of this.index.bans()) {
      if (ban.untilMs <= now) continue;
      if (total >= offset && bans.length < limit) bans.push(entryOf(ban));
      total += 1;
    }
    return { total, bans };
  }

  /** Calls the listener after each change, in order, until it is unsubscribed. */
  subscribe(listener: BanListener): void {
    this.listeners.add(listener);
  }

  unsubscribe(listener: BanListener): void {
    this.listeners.delete(listener);
  }

  /** Lifts every ban. Subscribers stay. */
  clear(): Changes {
    const all = [...this.index.bans()];
    const changes = all.map((ban) => this.drop(ban, 'lifted'));
    return { changes: this.notified(changes), stored: this.writes.clear(all.map((ban) => ban.key)) };
  }

  /** Removes bans that have ended, and repeats lost writes; called every minute. */
  purge(): readonly BanChange[] {
    const now = this.deps.clock.now();
    const ended = [...this.index.bans()].filter(({ untilMs }) => untilMs <= now);
    const changes = ended.map((ban) => this.drop(ban, 'expired'));
    void this.writes.rewrite();
    return this.notified(changes);
  }

  /** Reads again what other servers changed in the store. A change is in force when it is yielded. */
  async *reload(changed: Changed): AsyncGenerator<readonly BanChange[]> {
    const { store } = this.deps.link;
    if (changed !== 'all') {
      for (const key of changed) if (key !== '*') yield this.notified(this.adopt(key, await store.loadBan(key)));
      if (!changed.has('*')) return;
    }
    const stored = await store.loadBans();
    const keys = new Set(stored.map(({ key }) => key));
    const gone = [...this.index.bans()].filter((ban) => !keys.has(ban.key));
    yield this.notified([
      ...gone.flatMap((ban) => this.adopt(ban.key, undefined)),
      ...this.inOrder(stored).flatMap((entry) => this.adopt(entry.key, entry)),
    ]);
  }

  /** Puts a stored ban in force at start. */
  private load(entry: BanEntry): BanChange[] {
    const key = parseBanKey(entry.key);
    if (key === undefined) return [];
    const why = this.whyLeftOut(entry);
    if (why !== undefined) return [{ type: 'left_out', entry, why }];
    this.index.set(banWith(key, entry));
    return [];
  }

  private async importLegacy(nowMs: number): Promise<readonly BanChange[]> {
    const { link, log } = this.deps;
    const rows = await link.store.legacyBans();
    if (rows.length === 0) return [];
    const { bans, unreadable } = legacyBans(rows, nowMs);
    const fresh = bans.filter(({ key }) => this.index.get(key) === undefined);
    const changes: BanChange[] = [];
    for (let at = 0; at < fresh.length; at += WRITES_AT_ONCE) {
      const inserted = fresh.slice(at, at + WRITES_AT_ONCE).map((ban) => this.insert(ban));
      for (const each of inserted) changes.push(...(each?.changes ?? []));
      await Promise.all(inserted.map((each) => each?.stored));
    }
    log.info(
      { imported: bans.length, unreadable, expired: rows.length - bans.length - unreadable },
      'imported the bans of a Go deployment',
    );
    // Queued after those writes: when the store fails in between, the next start reads the rows again.
    await link.write('legacy', (store) => store.legacyTaken());
    return changes;
  }

  /** undefined when there is no room. */
  private insert(ban: Ban): Changes | undefined {
    const evicted: BanEvent[] = [];
    if (this.isFullFor(ban)) {
      const leaving = selectEviction(ban, this.index.order);
      if (leaving === undefined) return undefined;
      evicted.push(this.evict(leaving));
      // Other servers have limits of their own, and may have room. Bans of strangers are as many as an offender likes.
      if (this.deps.link.store.isShared && banClass(leaving) !== 'unconnected') this.writes.forget(leaving.key);
      else void this.writes.remove(leaving.key);
    }
    this.index.set(ban);
    const changes = this.notified([...evicted, { type: 'added', entry: ban }]);
    return { changes, stored: this.writes.put(entryOf(ban)) };
  }

  private evict(leaving: Ban): BanEvent {
    const leavingClass = banClass(leaving);
    this.evicted.add(1, { class: leavingClass });
    // New identities cost an offender nothing; a line for each would fill the log.
    if (leavingClass !== 'unconnected') this.logEviction(leaving);
    return this.drop(leaving, 'full');
  }

  /** At most once a minute. */
  private logEviction({ key, source }: Ban): void {
    const nowMs = this.deps.clock.monotonic();
    if (nowMs - this.evictionLoggedMs < EVICTION_LOG_INTERVAL_MS) {
      this.unloggedEvictions += 1;
      return;
    }
    const { maxEntries } = this.options;
    const fields = { key, source, maxEntries, unloggedBefore: this.unloggedEvictions };
    this.deps.log.warn(fields, 'ban list full, evicted the ban that ends soonest');
    this.evictionLoggedMs = nowMs;
    this.unloggedEvictions = 0;
  }

  private entry(key: string): BanEntry | undefined {
    const ban = this.index.get(key);
    return ban && entryOf(ban);
  }

  private isFullFor(entry: BanEntry): boolean {
    const { size, order } = this.index;
    if (this.index.get(entry.key) !== undefined) return false;
    if (banClass(entry) === 'unconnected' && order.size('unconnected') >= this.maxUnconnected) return true;
    return size >= this.options.maxEntries;
  }

  private drop(ban: Ban, why: 'lifted' | 'expired' | 'full'): BanEvent {
    this.index.delete(ban);
    return { type: 'removed', entry: ban, why };
  }

  /** Calls the listeners; returns the changes. */
  private notified(changes: readonly BanChange[]): readonly BanChange[] {
    for (const change of changes)
      if (change.type !== 'left_out') for (const each of this.listeners) this.call(each, change);
    return changes;
  }

  private call(listener: BanListener, event: BanEvent): void {
    try {
      listener(event);
    } catch (error) {
      this.deps.log.error({ err: error }, 'ban listener failed');
    }
  }

  /** As many as the list may hold; bans of peers first, since the bans that they caused depend on them. */
  private inOrder(entries: readonly BanEntry[]): readonly BanEntry[] {
    const { maxEntries } = this.options;
    if (entries.length > maxEntries)
      this.deps.log.warn(
        { bans: entries.length, maxEntries },
        'ban list full, the bans that end soonest are not in force',
      );
    const some = fitting(entries, maxEntries);
    return [
      ...some.filter(({ causedBy }) => causedBy === undefined),
      ...some.filter(({ causedBy }) => causedBy !== undefined),
    ];
  }

  /** Takes what the store has of a key, unless a write of ours to it is pending or was lost. */
  private adopt(key: string, stored: BanEntry | undefined): BanChange[] {
    const { link, clock } = this.deps;
    if (link.isContested(`ban ${key}`) || link.isContested('ban *')) return [];
    const lostAtMs = this.writes.lostAtMs(key);
    if (lostAtMs !== undefined && (stored === undefined || stored.createdAtMs <= lostAtMs)) {
      this.writes.again(key);
      return [];
    }
    this.writes.forget(key);
    const known = this.index.get(key);
    if (stored === undefined || stored.untilMs <= clock.now())
      return known === undefined ? [] : [this.drop(known, 'lifted')];
    if (known === undefined || !isSame(known, stored)) return this.takeOver(stored);
    this.index.set(banWith(known, stored));
    return [];
  }

  private takeOver(entry: BanEntry): BanChange[] {
    const key = parseBanKey(entry.key);
    if (key === undefined) return [];
    const why = this.whyLeftOut(entry);
    if (why !== undefined) return [{ type: 'left_out', entry, why }];
    const evicted: BanEvent[] = [];
    if (this.isFullFor(entry)) {
      // A ban that does not fit here stays in the store: another server's list may be longer.
      const leaving = selectEviction(entry, this.index.order);
      if (leaving === undefined || !outlasts(entry, leaving)) return [];
      evicted.push(this.evict(leaving));
    }
    const ban = banWith(key, entry);
    this.index.set(ban);
    return [...evicted, { type: 'added', entry: ban }];
  }

  private whyLeftOut(entry: BanEntry): string | undefined {
    const { peersAt } = this.deps;
    if (peersAt === undefined) return undefined;
    return whyNotTakenOver(entry, { peersAt, isBanned: (peerId) => this.banOfPeer(peerId) !== undefined });
  }
}

/** Whether the key was not banned anew in between. */
function isSame(one: BanEntry, other: BanEntry): boolean {
  return one.untilMs === other.untilMs && one.createdAtMs === other.createdAtMs;
}
