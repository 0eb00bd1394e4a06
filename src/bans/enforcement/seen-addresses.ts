// Remembers which peer IDs were seen at which address within 24 hours: an address that several peers use is never
// banned because of one of them. The addresses are those of sockets, never those that a peer claims.

import type { PeerId } from '../../domain/ids.ts';
import type { SeenAddress } from '../../ports/ban-store.ts';
import type { Clock } from '../../ports/clock.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';
import type { StoreLink } from '../store/store-link.ts';

/** How long a peer ID seen at an address prevents a ban of the address because of another peer. */
export const SEEN_KEEP_MS = 24 * 3_600_000;
/** Maximum number of pairs of address and peer ID: a busy node's connections of a day. */
const MAX_PAIRS = 50_000;
/** Maximum number of addresses that `explain` shows of a peer. */
const MAX_SHOWN = 50;
/** Minimum time between two writes of the same pair. */
const WRITE_INTERVAL_MS = 10 * 60_000;

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
    const help = 'Pairs of address and peer ID forgotten early because of the limit';
    this.evicted = metrics.counter('teranode_p2p_seen_addresses_evicted_total', help);
    const gauge = { name: 'teranode_p2p_seen_addresses', help: 'Pairs of address and peer ID seen within a day' };
    gaugeWithBound(metrics, gauge, () => this.pairs, MAX_PAIRS);
  }

  async init(): Promise<void> {
    const stored = await this.deps.link.store.loadAddresses();
    // When there are too many, the latest stay.
    for (const seen of stored.toSorted((a, b) => a.lastSeenMs - b.lastSeenMs)) this.note(seen, seen.lastSeenMs);
  }

  /** Records that a socket of this peer has this address, in canonical form, now. */
  saw(peerId: PeerId, address: string): void {
    const lastSeenMs = this.deps.clock.now();
    const seen = this.note({ address, peerId, lastSeenMs }, 0);
    if (lastSeenMs - seen.writtenMs < WRITE_INTERVAL_MS) return;
    seen.writtenMs = lastSeenMs;
    void this.deps.link.write(`address ${address}`, (store) => store.putAddress({ address, peerId, lastSeenMs }));
  }

  /** Whether another peer ID was, or may have been, seen at the address within 24 hours. */
  othersAt(address: string, peerId: PeerId): 'none' | 'seen' | 'unknown' {
    const oldestMs = this.deps.clock.now() - SEEN_KEEP_MS;
    for (const [other, seen] of this.byAddress.get(address) ?? [])
      if (other !== peerId && seen.lastMs >= oldestMs) return 'seen';
    return this.lastEvictionMs !== undefined && this.lastEvictionMs >= oldestMs ? 'unknown' : 'none';
  }

  /** Peers seen at the address within 24 hours. */
  peersAt(address: string): PeerId[] {
    const oldestMs = this.deps.clock.now() - SEEN_KEEP_MS;
    return [...(this.byAddress.get(address) ?? [])].filter(([, { lastMs }]) => lastMs >= oldestMs).map(([id]) => id);
  }

  /** Canonical addresses at which the peer was seen within 24 hours; the latest fifty. */
  addressesOf(peerId: PeerId): string[] {
    const oldestMs = this.deps.clock.now() - SEEN_KEEP_MS;
    return [...this.byAddress]
      .filter(([, at]) => (at.get(peerId)?.lastMs ?? 0) >= oldestMs)
      .map(([address]) => address)
      .slice(-MAX_SHOWN);
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
    // Keeps the map in the order of last use.
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

  /** Forgets the address used longest ago, peer by peer. */
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
