// Which peer ids were seen at which address within a day: an address that others use too is never banned for one of them. The addresses are
// those that sockets really had, never those that a peer claims.

import type { PeerId } from '../../domain/ids.ts';
import { formatIp, parseIp } from '../../lib/ip.ts';
import type { SeenAddress } from '../../ports/ban-store.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import type { StoreLink } from '../store/store-link.ts';

/** How long a peer id at an address speaks against banning the address for another one. */
export const SEEN_KEEP_MS = 24 * 3_600_000;
/** Pairs of address and peer id: a busy node's connections of a day. */
const MAX_PAIRS = 50_000;
/** Addresses of one peer that a person is told of. */
const MAX_TOLD = 50;
/** The store hears of the same pair again after this. */
const WRITE_AGAIN_MS = 10 * 60_000;

interface Seen {
  lastMs: number;
  writtenMs: number;
}

export class SeenAddresses {
  private readonly deps: { readonly link: StoreLink; readonly clock: Clock; readonly metrics: Metrics };
  private readonly byAddress = new Map<string, Map<PeerId, Seen>>();
  private readonly evicted: Counter;
  private pairs = 0;
  private lastEvictionMs: number | undefined;

  constructor(deps: { readonly link: StoreLink; readonly clock: Clock; readonly metrics: Metrics }) {
    this.deps = deps;
    const { metrics } = deps;
    this.evicted = metrics.counter('teranode_p2p_seen_addresses_evicted_total', 'Addresses of peers forgotten early');
    metrics.gauge('teranode_p2p_seen_addresses', 'Pairs of address and peer id seen within a day', () => this.pairs);
    metrics.gauge('teranode_p2p_seen_addresses_bound', 'Such pairs at most', () => MAX_PAIRS);
  }

  async init(): Promise<void> {
    const stored = await this.deps.link.store.loadAddresses();
    // Where not all of them fit, those seen last are to stay.
    for (const seen of stored.toSorted((a, b) => a.lastSeenMs - b.lastSeenMs)) this.note(seen, seen.lastSeenMs);
  }

  /** A socket of this peer had this IP just now. */
  saw(peerId: PeerId, ip: string): void {
    const parsed = parseIp(ip);
    if (parsed === undefined) return;
    const address = formatIp(parsed);
    const lastSeenMs = this.deps.clock.now();
    const seen = this.note({ address, peerId, lastSeenMs }, 0);
    if (lastSeenMs - seen.writtenMs < WRITE_AGAIN_MS) return;
    seen.writtenMs = lastSeenMs;
    void this.deps.link.write(`address ${address}`, (store) => store.putAddress({ address, peerId, lastSeenMs }));
  }

  /** Whether another peer id was, or may have been, seen at the address within a day. */
  othersAt(address: string, peerId: PeerId): 'none' | 'seen' | 'unknown' {
    const oldestMs = this.deps.clock.now() - SEEN_KEEP_MS;
    for (const [other, seen] of this.byAddress.get(address) ?? [])
      if (other !== peerId && seen.lastMs >= oldestMs) return 'seen';
    return this.lastEvictionMs !== undefined && this.lastEvictionMs >= oldestMs ? 'unknown' : 'none';
  }

  /** Who was seen at the address within a day. */
  peersAt(address: string): PeerId[] {
    const oldestMs = this.deps.clock.now() - SEEN_KEEP_MS;
    return [...(this.byAddress.get(address) ?? [])].filter(([, { lastMs }]) => lastMs >= oldestMs).map(([id]) => id);
  }

  /** Canonical addresses at which the peer was seen within a day; of many the fifty that were used last. */
  addressesOf(peerId: PeerId): string[] {
    const oldestMs = this.deps.clock.now() - SEEN_KEEP_MS;
    return [...this.byAddress]
      .filter(([, at]) => (at.get(peerId)?.lastMs ?? 0) >= oldestMs)
      .map(([address]) => address)
      .slice(-MAX_TOLD);
  }

  purge(): void {
    const oldestMs = this.deps.clock.now() - SEEN_KEEP_MS;
    for (const [address, at] of this.byAddress) {
      for (const [peerId, seen] of at) {
        if (seen.lastMs >= oldestMs) continue;
        at.delete(peerId);
        this.pairs -= 1;
      }
      if (at.size === 0) this.byAddress.delete(address);
    }
  }

  private note({ address, peerId, lastSeenMs }: SeenAddress, writtenMs: number): Seen {
    const at = this.byAddress.get(address) ?? new Map<PeerId, Seen>();
    // The address used last stands last.
    this.byAddress.delete(address);
    this.byAddress.set(address, at);
    let seen = at.get(peerId);
    if (seen === undefined) {
      seen = { lastMs: lastSeenMs, writtenMs };
      at.set(peerId, seen);
      this.pairs += 1;
      this.makeRoom();
    }
    seen.lastMs = Math.max(seen.lastMs, lastSeenMs);
    return seen;
  }

  /** Forgets the address used longest ago; of a lone address its first peer id. */
  private makeRoom(): void {
    while (this.pairs > MAX_PAIRS) {
      const oldest = this.byAddress.entries().next();
      if (oldest.done) return;
      const [address, at] = oldest.value;
      const first = at.keys().next();
      if (!first.done) at.delete(first.value);
      if (at.size === 0) this.byAddress.delete(address);
      this.pairs -= 1;
      this.evicted.add();
      this.lastEvictionMs = this.deps.clock.now();
    }
  }
}
