// Who is banned (spec `BanListI`): IPs, subnets and peer ids by one canonical key each, in memory for lookups, in the store to outlast the
// process. What is in memory is in force, whether or not the store answers.

import type { PeerId } from '../../domain/ids.ts';
import { P2PError } from '../../lib/errors.ts';
import { parseIp } from '../../lib/ip.ts';
import type { BanEntry } from '../../ports/ban-store.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { Metrics } from '../../ports/metrics.ts';
import { BanWrites } from '../store/ban-writes.ts';
import type { Changed, StoreLink } from '../store/store-link.ts';
import { BanIndex } from './ban-index.ts';
import { type BanKey, parseBanKey } from './ban-key.ts';
import { fitting, outlasts, whoLeavesFor } from './eviction.ts';
import { legacyEntries } from './legacy-bans.ts';

export type BanEvent =
  | { readonly type: 'added'; readonly entry: BanEntry }
  | { readonly type: 'removed'; readonly entry: BanEntry; readonly why: 'lifted' | 'expired' | 'full' };

export type BanListener = (event: BanEvent) => void;

/** Beside key and end: why, and by whom. */
export type BanFacts = Pick<BanEntry, 'reason' | 'evidence' | 'source' | 'because'>;

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
  /** Why a ban that another server found out automatically is not to hold here; undefined when it is. */
  readonly whyNotHere?: (entry: BanEntry) => string | undefined;
}

const BY_OPERATOR: BanFacts = {
  reason: 'banned by the operator',
  evidence: '',
  source: 'operator',
  because: undefined,
};
/** Beyond year 9999 a time is no longer written as a date. */
const LAST_UNTIL_MS = 253_402_300_799_000;
const MAX_TEXT = 500;
const WRITES_AT_ONCE = 1000;

export class BanList {
  private readonly deps: BanListDependencies;
  private readonly options: BanListOptions;
  private readonly index = new BanIndex();
  private readonly listeners = new Set<BanListener>();
  private readonly writes: BanWrites;

  constructor(deps: BanListDependencies, options: BanListOptions) {
    this.deps = deps;
    this.options = options;
    const { metrics, link } = deps;
    metrics.gauge('teranode_p2p_bans', 'Bans in the list', () => this.index.size);
    metrics.gauge('teranode_p2p_bans_bound', 'Bans in the list at most', () => options.maxEntries);
    this.writes = new BanWrites({ ...deps, entryOf: (key) => this.index.get(key) }, options);
    link.follow({ type: 'ban', reload: (changed) => this.reload(changed) });
  }

  /** Reads the store, and takes over the table of a Go deployment once. The link must be open. */
  async init(): Promise<void> {
    const { link, clock, log } = this.deps;
    const now = clock.now();
    const kept = (await link.store.loadBans()).filter((entry) => entry.untilMs > now);
    for (const entry of this.inOrder(kept)) if (this.deps.whyNotHere?.(entry) === undefined) this.put(entry);
    const legacy = await link.store.legacyBans();
    if (legacy.length > 0) {
      const { entries, unreadable } = legacyEntries(legacy, now);
      const fresh = entries.filter((entry) => this.index.get(entry.key) === undefined);
      for (let at = 0; at < fresh.length; at += WRITES_AT_ONCE) {
        await Promise.all(fresh.slice(at, at + WRITES_AT_ONCE).map((entry) => this.take(entry)));
      }
      log.info(
        { taken: entries.length, unreadable, expired: legacy.length - entries.length - unreadable },
        'bans of a Go deployment taken over',
      );
      // Behind those writes: a store that goes away in between will be read again at the next start.
      await link.write('legacy', (store) => store.legacyTaken());
    }
    log.info({ bans: this.index.size }, 'bans in force');
  }

  /** An IP, `host:port` or peer id is banned, by itself or by a subnet; a subnet, when one ban covers all of it. Anything else is not. */
  isBanned(text: string): boolean {
    const ip = parseIp(text);
    if (ip !== undefined) return this.index.address(ip, this.deps.clock.now()) !== undefined;
    return this.banOf(text) !== undefined;
  }

  /** The ban that covers what is named; undefined when none does. */
  banOf(text: string): BanEntry | undefined {
    const key = parseBanKey(text);
    if (key === undefined) return undefined;
    const now = this.deps.clock.now();
    if (key.kind === 'peer') return this.index.peer(key.key, now);
    return this.index.address(key.ip, now, key.prefix);
  }

  /** The ban of a peer id; one look-up. */
  banOfPeer(peerId: PeerId): BanEntry | undefined {
    return this.index.peer(peerId, this.deps.clock.now());
  }

  /** The ban that covers an IP; undefined for what is no IP. */
  banOfAddress(text: string): BanEntry | undefined {
    const ip = parseIp(text);
    return ip === undefined ? undefined : this.index.address(ip, this.deps.clock.now());
  }

  /**
   * Bans until a time (unix ms; default `p2p_ban_default_duration` from now), in force when this returns its promise; the promise resolves
   * when stored, or after a second when the store is away. Banning anew replaces. Throws INPUT_INVALID and changes nothing.
   */
  add(text: string, untilMs?: number, facts: BanFacts = BY_OPERATOR): Promise<BanEntry> {
    const entry = this.entryFor(text, untilMs, facts);
    return (this.take(entry) ?? Promise.resolve()).then(() => entry);
  }

  /** As {@link add}, never waiting; undefined, and nothing changed, when the list is full and nothing in it has to leave for this one. */
  tryAdd(text: string, untilMs: number, facts: BanFacts): BanEntry | undefined {
    const entry = this.entryFor(text, untilMs, facts);
    return this.take(entry) === undefined ? undefined : entry;
  }

  /** Says more of why a ban is in force; nothing when it no longer is, or was replaced. */
  note(entry: BanEntry, evidence: string): void {
    const known = this.index.get(entry.key);
    if (known === undefined || !isSame(known, entry)) return;
    const noted = { ...known, evidence: evidence.slice(0, MAX_TEXT) };
    this.put(noted);
    void this.writes.put(noted);
  }

  private entryFor(text: string, untilMs: number | undefined, facts: BanFacts): BanEntry {
    const key = checkedKey(text);
    const now = this.deps.clock.now();
    const end = Math.min(untilMs ?? now + this.options.defaultDurationMs, LAST_UNTIL_MS);
    if (!Number.isFinite(end) || end <= now) {
      throw new P2PError('INPUT_INVALID', 'the end of a ban must lie in the future');
    }
    return {
      key: key.key,
      kind: key.kind,
      untilMs: end,
      createdAtMs: now,
      ...facts,
      reason: facts.reason.slice(0, MAX_TEXT),
      evidence: facts.evidence.slice(0, MAX_TEXT),
    };
  }

  /** Lifts the ban of this key, and those that it brought about. Resolves with what was lifted. Throws INPUT_INVALID. */
  async remove(text: string): Promise<BanEntry[]> {
    const key = checkedKey(text);
    const now = this.deps.clock.now();
    const dropped = [...this.index.entries()].filter(
      (entry) => entry.key === key.key || (key.kind === 'peer' && entry.because === key.key),
    );
    for (const entry of dropped) this.drop(entry, entry.untilMs > now ? 'lifted' : 'expired');
    // Also a key that only the store knows.
    const keys = new Set([key.key, ...dropped.map((entry) => entry.key)]);
    await Promise.all([...keys].map((each) => this.writes.remove(each)));
    return dropped.filter((entry) => entry.untilMs > now);
  }

  /** Canonical keys of all bans in force. */
  listBanned(): string[] {
    return this.entries().map((entry) => entry.key);
  }

  entries(): BanEntry[] {
    const now = this.deps.clock.now();
    return [...this.index.entries()].filter((entry) => entry.untilMs > now);
  }

  /** Called after each change, in its order; must not throw. */
  subscribe(listener: BanListener): void {
    this.listeners.add(listener);
  }

  unsubscribe(listener: BanListener): void {
    this.listeners.delete(listener);
  }

  /** Lifts every ban. Subscribers stay, and are told of each. */
  async clear(): Promise<void> {
    const all = [...this.index.entries()];
    for (const entry of all) this.drop(entry, 'lifted');
    await this.writes.clear(all.map(({ key }) => key));
  }

  /** Drops bans that ended, and writes again what the store did not get; called each minute. */
  purge(): void {
    const now = this.deps.clock.now();
    for (const entry of [...this.index.entries()]) if (entry.untilMs <= now) this.drop(entry, 'expired');
    this.writes.rewrite();
  }

  /** undefined when there is no room. */
  private take(entry: BanEntry): Promise<void> | undefined {
    if (this.isFullFor(entry.key)) {
      const left = this.makeRoom(entry);
      if (left === undefined) return undefined;
      // Other servers have bounds of their own, and may have room.
      if (this.deps.link.store.isShared) this.writes.forget(left);
      else void this.writes.remove(left);
    }
    this.put(entry);
    this.tell({ type: 'added', entry });
    return this.writes.put(entry);
  }

  /** The key that left; undefined when nothing has to leave for this one. */
  private makeRoom(entry: BanEntry): string | undefined {
    const leaving = whoLeavesFor(entry, this.index.entries());
    if (leaving === undefined) return undefined;
    const { key, source } = leaving;
    this.drop(leaving, 'full');
    const { maxEntries } = this.options;
    this.deps.log.warn({ key, source, maxEntries }, 'ban list full, the ban that ends soonest left');
    return key;
  }

  private isFullFor(key: string): boolean {
    return this.index.size >= this.options.maxEntries && this.index.get(key) === undefined;
  }

  private put(entry: BanEntry): void {
    const key = parseBanKey(entry.key);
    if (key !== undefined) this.index.set(key, entry);
  }

  private drop(entry: BanEntry, why: 'lifted' | 'expired' | 'full'): void {
    const key = parseBanKey(entry.key);
    if (key === undefined) return;
    this.index.delete(key);
    this.tell({ type: 'removed', entry, why });
  }

  private tell(event: BanEvent): void {
    for (const listener of this.listeners) {
      try {
        listener(event);
      } catch (error) {
        this.deps.log.error({ err: error }, 'ban listener failed');
      }
    }
  }

  /** What other servers changed, unless a change of ours to the same key came in between. */
  private async reload(changed: Changed): Promise<void> {
    const { store } = this.deps.link;
    if (changed !== 'all') {
      for (const key of changed) if (key !== '*') this.adopt(key, await store.loadBan(key));
      if (!changed.has('*')) return;
    }
    const stored = await store.loadBans();
    const keys = new Set(stored.map(({ key }) => key));
    for (const { key } of [...this.index.entries()]) if (!keys.has(key)) this.adopt(key, undefined);
    for (const entry of this.inOrder(stored)) this.adopt(entry.key, entry);
  }

  /** As many as may be in the list; those of peers first, since what follows from them depends on them. */
  private inOrder(entries: readonly BanEntry[]): readonly BanEntry[] {
    const { maxEntries } = this.options;
    if (entries.length > maxEntries)
      this.deps.log.warn(
        { bans: entries.length, maxEntries },
        'ban list full, the bans that end soonest are not in force',
      );
    const some = fitting(entries, maxEntries);
    return [
      ...some.filter(({ because }) => because === undefined),
      ...some.filter(({ because }) => because !== undefined),
    ];
  }

  private adopt(key: string, stored: BanEntry | undefined): void {
    const { link, clock, whyNotHere } = this.deps;
    if (link.isContested(`ban ${key}`) || link.isContested('ban *')) return;
    const lostAtMs = this.writes.lostAtMs(key);
    if (lostAtMs !== undefined && (stored === undefined || stored.createdAtMs <= lostAtMs)) {
      this.writes.again(key);
      return;
    }
    this.writes.forget(key);
    const known = this.index.get(key);
    if (stored === undefined || stored.untilMs <= clock.now()) {
      if (known !== undefined) this.drop(known, 'lifted');
      return;
    }
    if (known !== undefined && isSame(known, stored)) {
      this.put(stored);
      return;
    }
    if (whyNotHere?.(stored) !== undefined) return;
    if (this.isFullFor(key)) {
      // The store keeps what does not fit here: another server's list may be longer.
      const leaving = whoLeavesFor(stored, this.index.entries());
      if (leaving === undefined || !outlasts(stored, leaving)) return;
      this.makeRoom(stored);
    }
    this.put(stored);
    this.tell({ type: 'added', entry: stored });
  }
}

/** Of one key: not banned anew in between. */
function isSame(one: BanEntry, other: BanEntry): boolean {
  return one.untilMs === other.untilMs && one.createdAtMs === other.createdAtMs;
}

function checkedKey(text: string): BanKey {
  const key = parseBanKey(text);
  if (key !== undefined) return key;
  throw new P2PError(
    'INPUT_INVALID',
    'a ban names an IP (192.0.2.1, 2001:db8::1), a subnet (192.0.2.0/24), host:port with an IP, or a peer id (12D3Koo…)',
    {
      details: { given: text.slice(0, 128) },
    },
  );
}
