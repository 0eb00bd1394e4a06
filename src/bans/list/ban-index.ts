// Finds the bans that cover an address or a peer. There is one hash map for each prefix length in use, so a lookup
// costs as many steps as there are prefix lengths, however many bans there are.

import type { Ban, BanEntry, BanKey } from '../../domain/ban.ts';
import type { IpAddress } from '../../lib/ip.ts';
import { shownText } from '../../lib/shown-text.ts';
import { maskedV4, maskedV6 } from './ban-key.ts';
import { EvictionOrder } from './eviction.ts';

interface Level<K> {
  readonly prefix: number;
  readonly bans: Map<K, Ban>;
}

export class BanIndex {
  private readonly peers = new Map<string, Ban>();
  /** Longest prefix first. */
  private v4: Level<number>[] = [];
  private v6: Level<string>[] = [];
  private readonly byKey = new Map<string, Ban>();
  /** In which order bans leave a full list. */
  order = this.newOrder();

  get size(): number {
    return this.byKey.size;
  }

  /** The ban of a canonical key. */
  get(key: string): Ban | undefined {
    return this.byKey.get(key);
  }

  /** In the order in which they were added. */
  bans(): IterableIterator<Ban> {
    return this.byKey.values();
  }

  set(ban: Ban): void {
    const before = this.byKey.get(ban.key);
    if (before !== undefined) this.order.removed(before);
    this.byKey.set(ban.key, ban);
    this.order.added(ban);
    if (ban.kind === 'peer') this.peers.set(ban.key, ban);
    else if (ban.ip.family === 4) this.v4 = put(this.v4, ban.prefix, ban.ip.bits, ban);
    else this.v6 = put(this.v6, ban.prefix, ban.ip.groups, ban);
  }

  delete(key: BanKey): void {
    const before = this.byKey.get(key.key);
    if (before !== undefined) this.order.removed(before);
    this.byKey.delete(key.key);
    if (key.kind === 'peer') this.peers.delete(key.key);
    else if (key.ip.family === 4) this.v4 = drop(this.v4, key.prefix, key.ip.bits);
    else this.v6 = drop(this.v6, key.prefix, key.ip.groups);
  }

  clear(): void {
    this.byKey.clear();
    this.order = this.newOrder();
    this.peers.clear();
    this.v4 = [];
    this.v6 = [];
  }

  private newOrder(): EvictionOrder {
    return new EvictionOrder((ban) => this.byKey.get(ban.key) === ban);
  }

  /** The ban of a peer ID, unless it has ended. */
  peer(peerId: string, nowMs: number): Ban | undefined {
    const ban = this.peers.get(peerId);
    return ban !== undefined && ban.untilMs > nowMs ? ban : undefined;
  }

  /** The ban with the longest prefix, not longer than `maxPrefix`, that covers the address and has not ended. */
  address(ip: IpAddress, nowMs: number, maxPrefix = 128): Ban | undefined {
    if (ip.family === 4) {
      for (const { prefix, bans } of this.v4) {
        if (prefix > maxPrefix) continue;
        const ban = bans.get(maskedV4(ip.bits, prefix));
        if (ban !== undefined && ban.untilMs > nowMs) return ban;
      }
      return undefined;
    }
    for (const { prefix, bans } of this.v6) {
      if (prefix > maxPrefix) continue;
      const ban = bans.get(maskedV6(ip.groups, prefix));
      if (ban !== undefined && ban.untilMs > nowMs) return ban;
    }
    return undefined;
  }
}

/** The ban of a parsed key. Its texts may come from a store that other programs write. */
export function banWith(parsed: BanKey, entry: BanEntry): Ban {
  const { key, kind } = parsed;
  const { untilMs, createdAtMs, source, causedBy } = entry;
  const [reason, evidence] = [shownText(entry.reason), shownText(entry.evidence)];
  if (kind === 'peer') return { key, kind, untilMs, createdAtMs, reason, evidence, source, causedBy };
  const { ip, prefix } = parsed;
  return { key, kind, untilMs, createdAtMs, reason, evidence, source, causedBy, ip, prefix };
}

/** The ban as others see it, without what was parsed. */
export function entryOf({ key, kind, untilMs, createdAtMs, reason, evidence, source, causedBy }: Ban): BanEntry {
  return { key, kind, untilMs, createdAtMs, reason, evidence, source, causedBy };
}

function put<K>(levels: Level<K>[], prefix: number, key: K, ban: Ban): Level<K>[] {
  const level = levels.find((each) => each.prefix === prefix);
  if (level !== undefined) {
    level.bans.set(key, ban);
    return levels;
  }
  return [...levels, { prefix, bans: new Map([[key, ban]]) }].sort((a, b) => b.prefix - a.prefix);
}

function drop<K>(levels: Level<K>[], prefix: number, key: K): Level<K>[] {
  const level = levels.find((each) => each.prefix === prefix);
  level?.bans.delete(key);
  return level?.bans.size === 0 ? levels.filter((each) => each !== level) : levels;
}
