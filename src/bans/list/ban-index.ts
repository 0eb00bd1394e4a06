// Finds the bans that cover an address or a peer. There is one hash map for each prefix length in use, so a lookup costs as many steps as
// there are prefix lengths, however many bans there are.

import type { BanEntry, BanKey } from '../../domain/ban.ts';
import type { IpAddress } from '../../lib/ip.ts';
import { maskedV4, maskedV6 } from './ban-key.ts';

/** A ban with its parsed key. */
export interface Ban {
  readonly key: BanKey;
  readonly entry: BanEntry;
}

interface Level<K> {
  readonly prefix: number;
  readonly entries: Map<K, BanEntry>;
}

export class BanIndex {
  private readonly peers = new Map<string, BanEntry>();
  /** Longest prefix first. */
  private v4: Level<number>[] = [];
  private v6: Level<string>[] = [];
  private readonly byKey = new Map<string, Ban>();

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

  set(key: BanKey, entry: BanEntry): void {
    this.byKey.set(key.key, { key, entry });
    if (key.kind === 'peer') this.peers.set(key.key, entry);
    else if (key.ip.family === 4) this.v4 = put(this.v4, key.prefix, key.ip.bits, entry);
    else this.v6 = put(this.v6, key.prefix, key.ip.groups, entry);
  }

  delete(key: BanKey): void {
    this.byKey.delete(key.key);
    if (key.kind === 'peer') this.peers.delete(key.key);
    else if (key.ip.family === 4) this.v4 = drop(this.v4, key.prefix, key.ip.bits);
    else this.v6 = drop(this.v6, key.prefix, key.ip.groups);
  }

  clear(): void {
    this.byKey.clear();
    this.peers.clear();
    this.v4 = [];
    this.v6 = [];
  }

  /** The ban of a peer ID, unless it has ended. */
  peer(peerId: string, nowMs: number): BanEntry | undefined {
    const entry = this.peers.get(peerId);
    return entry !== undefined && entry.untilMs > nowMs ? entry : undefined;
  }

  /** The ban with the longest prefix, not longer than `maxPrefix`, that covers the address and has not ended. */
  address(ip: IpAddress, nowMs: number, maxPrefix = 128): BanEntry | undefined {
    if (ip.family === 4) {
      for (const { prefix, entries } of this.v4) {
        if (prefix > maxPrefix) continue;
        const entry = entries.get(maskedV4(ip.bits, prefix));
        if (entry !== undefined && entry.untilMs > nowMs) return entry;
      }
      return undefined;
    }
    for (const { prefix, entries } of this.v6) {
      if (prefix > maxPrefix) continue;
      const entry = entries.get(maskedV6(ip.groups, prefix));
      if (entry !== undefined && entry.untilMs > nowMs) return entry;
    }
    return undefined;
  }
}

function put<K>(levels: Level<K>[], prefix: number, key: K, entry: BanEntry): Level<K>[] {
  const level = levels.find((each) => each.prefix === prefix);
  if (level !== undefined) {
    level.entries.set(key, entry);
    return levels;
  }
  return [...levels, { prefix, entries: new Map([[key, entry]]) }].sort((a, b) => b.prefix - a.prefix);
}

function drop<K>(levels: Level<K>[], prefix: number, key: K): Level<K>[] {
  const level = levels.find((each) => each.prefix === prefix);
  level?.entries.delete(key);
  return level?.entries.size === 0 ? levels.filter((each) => each !== level) : levels;
}
