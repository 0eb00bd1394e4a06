// Peers that others name as being on our network, in the DHT or when they are asked for an address. Records live for a
// day and more, so most may be gone, and whoever answers may name thousands that never existed. Peers that could not be
// reached have a cool-down, and the next to dial is drawn at random, so that neither keeps this node from the peers
// that are there. Dials of one IP are limited, so that nobody can point this node at a victim.
import { multiaddr } from '@multiformats/multiaddr';
import { LRUCache } from 'lru-cache';
import type { PeerId } from '../../../domain/ids.ts';
import { backoffMs } from '../../../lib/backoff.ts';
import { TokenBuckets } from '../../../lib/token-bucket.ts';
import type { Logger } from '../../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import { wasNotDialed } from '../connections/dial-budget.ts';
import { dialGroup } from '../connections/remote-address.ts';

/** Dials at the same time; together with those of the dialer fewer than the 100 of libp2p's own queue. */
const MAX_DIALS = 32;
const MAX_QUEUED = 1000;
const MAX_COOLING_DOWN = 4000;
/** A peer has a few addresses; more are another peer's, or nobody's. */
const MAX_ADDRESSES = 8;
/** Dials of one IP or domain: at the same time, and within a minute. */
export const MAX_DIALS_PER_GROUP = 4;
export const DIALS_PER_MINUTE = 20;
const MAX_GROUPS = 4000;
/** After the first failure, doubled with each further one. */
const COOL_DOWN = { firstMs: 30_000, lastMs: 10 * 60_000 } as const;

export interface DiscoveredPeersDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly random: () => number;
  /** False for this node itself, for connected peers, and when enough peers are connected. */
  readonly isWanted: (peerId: PeerId) => boolean;
  /** How many more connections are wanted. */
  readonly room: () => number;
  /** Settles within its own deadline; rejects when no connection was made. */
  readonly dial: (peerId: PeerId, addresses: readonly string[]) => Promise<unknown>;
}

interface Address {
  readonly address: string;
  /** Whom a dial of it reaches; undefined is never limited. */
  readonly group: string | undefined;
}

interface CoolDown {
  readonly failures: number;
  readonly untilMs: number;
}

export class DiscoveredPeers {
  private readonly deps: DiscoveredPeersDependencies;
  private readonly queued = new Map<PeerId, readonly Address[]>();
  private readonly dialling = new Set<PeerId>();
  private readonly coolingDown = new LRUCache<PeerId, CoolDown>({ max: MAX_COOLING_DOWN });
  /** Dials under way, by group. */
  private readonly groups = new Map<string, number>();
  private readonly budgets = new TokenBuckets<string>(
    { perSecond: DIALS_PER_MINUTE / 60, burst: DIALS_PER_MINUTE },
    MAX_GROUPS,
  );
  private readonly limited: Counter;
  private isStopped = false;

  constructor(deps: DiscoveredPeersDependencies) {
    this.deps = deps;
    const kinds = {
      waiting: [MAX_QUEUED, () => this.queued.size],
      dialling: [MAX_DIALS, () => this.dialling.size],
      resting: [MAX_COOLING_DOWN, () => this.coolingDown.size],
    } as const;
    const name = 'teranode_p2p_found_peers';
    const help = 'Discovered peers that are not connected: queued, being dialled, or in a cool-down';
    for (const [kind, [bound, read]] of Object.entries(kinds))
      gaugeWithBound(deps.metrics, { name, help, labels: { kind } }, read, bound);
    const budgets = {
      name: 'teranode_p2p_found_addresses',
      help: 'IPs and domains of discovered peers dialled lately',
    };
    gaugeWithBound(deps.metrics, budgets, () => this.budgets.size, MAX_GROUPS);
    const limited = 'Discovered peers not dialled because their addresses were dialled too often';
    this.limited = deps.metrics.counter('teranode_p2p_found_peers_limited_total', limited);
    this.limited.add(0);
  }

  /** When the queue is full the peer replaces a random one, which comes back when it is discovered again. */
  discovered(peerId: PeerId, addresses: readonly string[]): void {
    if (this.isStopped || this.dialling.has(peerId) || !this.deps.isWanted(peerId)) return;
    if ((this.coolingDown.peek(peerId)?.untilMs ?? 0) > this.deps.nowMs()) return;
    const evicted = this.queued.size >= MAX_QUEUED && !this.queued.has(peerId) ? this.draw() : undefined;
    if (evicted !== undefined) this.queued.delete(evicted);
    this.queued.set(peerId, dialledAddresses(addresses));
    // Peers of one answer arrive together: draw among all of them.
    queueMicrotask(() => this.dialNext());
  }

  stop(): void {
    this.isStopped = true;
    this.queued.clear();
  }

  private dialNext(): void {
    while (this.dialling.size < Math.min(MAX_DIALS, this.deps.room()) && this.queued.size > 0) {
      const drawn = this.draw((addresses) => addresses.length === 0 || addresses.some((each) => this.isFree(each)));
      const addresses = drawn === undefined ? undefined : this.queued.get(drawn);
      if (drawn === undefined || addresses === undefined) return;
      this.queued.delete(drawn);
      if (!this.deps.isWanted(drawn)) continue;
      const allowed = addresses.filter((address) => this.take(address));
      if (allowed.length > 0 || addresses.length === 0) void this.dial(drawn, allowed);
      else this.limited.add(1);
    }
  }

  private draw(mayBe: (addresses: readonly Address[]) => boolean = () => true): PeerId | undefined {
    const drawable = [...this.queued].filter(([, addresses]) => mayBe(addresses));
    return drawable[Math.floor(this.deps.random() * drawable.length)]?.[0];
  }

  private isFree({ group }: Address): boolean {
    return group === undefined || (this.groups.get(group) ?? 0) < MAX_DIALS_PER_GROUP;
  }

  /** Counts a dial of the address; false when it must not be dialled now. */
  private take(address: Address): boolean {
    const { group } = address;
    if (group === undefined) return true;
    if (!this.isFree(address) || !this.budgets.take(group, this.deps.nowMs())) return false;
    this.groups.set(group, (this.groups.get(group) ?? 0) + 1);
    return true;
  }

  private release({ group }: Address): void {
    if (group === undefined) return;
    const left = (this.groups.get(group) ?? 0) - 1;
    if (left > 0) this.groups.set(group, left);
    else this.groups.delete(group);
  }

  private async dial(peerId: PeerId, addresses: readonly Address[]): Promise<void> {
    this.dialling.add(peerId);
    try {
      await this.deps.dial(
        peerId,
        addresses.map(({ address }) => address),
      );
      this.coolingDown.delete(peerId);
    } catch (error) {
      this.deps.log.debug({ peerId, err: error }, 'failed to dial discovered peer');
      this.coolDown(peerId, !wasNotDialed(error));
    } finally {
      this.dialling.delete(peerId);
      for (const address of addresses) this.release(address);
      this.dialNext();
    }
  }

  /** `hasFailed`: it was dialed, and the next cool-down is to be longer. */
  private coolDown(peerId: PeerId, hasFailed: boolean): void {
    const failures = (this.coolingDown.get(peerId)?.failures ?? 0) + Number(hasFailed);
    const ms = backoffMs(COOL_DOWN, Math.max(1, failures)) * (0.75 + this.deps.random() / 2);
    this.coolingDown.set(peerId, { failures, untilMs: this.deps.nowMs() + ms });
  }
}

/** With one name at most: each name that is claimed costs a lookup. */
function dialledAddresses(addresses: readonly string[]): readonly Address[] {
  const parsed = addresses.map((address) => ({ address, at: multiaddr(address) }));
  const isName = ({ at }: (typeof parsed)[number]) => at.getComponents()[0]?.name.startsWith('dns') === true;
  const firstName = parsed.find(isName);
  return parsed
    .filter((each) => each === firstName || !isName(each))
    .slice(0, MAX_ADDRESSES)
    .map(({ address, at }) => ({ address, group: dialGroup(at) }));
}
